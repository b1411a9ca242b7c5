// Package lab is a laboratory for packets: network namespaces of the process's
// own, with devices, rules and sockets in them. Tests, benchmarks and the
// demonstration run in it, as root or as an ordinary user, and leave nothing
// behind: the kernel takes a namespace apart when its last user is gone.
//
//	func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }
//
//	func TestQueue(t *testing.T) {
//		lab.Require(t)
//		ns, err := lab.NewNet()
//		...
//		defer ns.Close()
//		out, err := ns.Chain(lab.IPv4, lab.Output, 0)
//		rule, err := out.Add(lab.UDP(9999), lab.Queue(7))
//		conn, err := ns.Dial("udp", "127.0.0.1:9999")
//		...
//		n, err := rule.Packets()
//	}
//
// Two things to know. A thread belongs to a namespace, a goroutine does not:
// what [Net.Do] runs must not leave its own goroutine. And /proc/net shows the
// namespace of the process's first thread, whoever reads it; the caller's is
// /proc/thread-self/net.
//
// The package needs nothing but the kernel: no ip, nft or iptables. On systems
// other than Linux only [TestMain], [Require] and [Enter] exist, and tests that
// require the lab are skipped.
package lab
