package main

// initName is what the program is called in the machine.
const initName = "/init"

// Other files in the machine. The test runs in workDir, and finds there what is
// in the folder of its package.
const (
	jobFile   = "job.json"
	testFile  = "test"
	workDir   = "work"
	coverFile = "/tmp/cover.out"
)

// A job is what the machine is to do.
type job struct {
	Args  []string // of the test
	Env   []string
	User  bool  // run the test as an ordinary user
	Clock int64 // what time it is, in nanoseconds since 1970
}

// The console has one message a line. Whatever has none of these prefixes comes
// from the kernel or from firmware; so a line of the test cannot be taken for a
// message, and what the kernel says in between does no harm.
const (
	sayBegin  = "vm-begin " // what kernel it is, for people
	sayOutput = "vm-out "   // one line of the test's output
	sayNote   = "vm-note "  // something to tell people
	sayCover  = "vm-cover " // the coverage profile, base64
	sayEnd    = "vm-end "   // the test's exit status
)
