# Sourced: apt with its own package lists, so that asking for other suites and
# architectures neither needs root nor changes what the machine's apt sees.

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# archive NAME prints the URI of Debian's archive of that name, debian or
# debian-security, that this machine is configured to use; nothing if there is none.
archive() { apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m1 "/$1/\$"; }

# debian_uri prints the Debian archive to use.
debian_uri() {
	echo "${NFPACKET_DEBIAN:-$(archive debian)}" | grep . ||
		fail "no Debian archive in apt's sources: set NFPACKET_DEBIAN to the URI of one"
}

# security_uri prints the archive of Debian's security updates that belongs to it.
security_uri() {
	local uri
	[ -n "${NFPACKET_DEBIAN-}" ] || ! archive debian-security || return 0
	uri=$(debian_uri)
	echo "${uri%/}-security"
}

# private_apt FOLDER URI SUITE... sets the array apt to the options that make
# apt-get and apt-cache keep to FOLDER and know nothing but those suites of an
# archive. One that is a folder of this machine needs no signature.
private_apt() {
	local folder=$1 uri=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg trust
	trust=signed-by=$keyring
	case $uri in
	file:*) trust=trusted=yes ;;
	*) [ -r "$keyring" ] || fail "no $keyring: install debian-archive-keyring" ;;
	esac
	shift 2
	mkdir -p "$folder"/lists/partial "$folder"/cache/archives/partial
	printf "deb [$trust] $uri %s main\n" "$@" >"$folder/sources.list"
	apt=(-q -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache"
		-o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20
		-o APT::Sandbox::User=root -o APT::Update::Error-Mode=any)
}

# flavour ARCH prints the kernel flavour to take for a Debian architecture: the
# smallest that has all of netfilter.
flavour() {
	case $1 in
	amd64 | arm64) echo "cloud-$1" ;;
	armhf) echo armmp-lpae ;;
	s390x) echo s390x ;;
	*) fail "no kernel flavour known for $1: add it to flavour and goarch in lib.sh, and to the machines in exec.go" ;;
	esac
}

# goarch ARCH prints Go's name of a Debian architecture.
goarch() {
	case $1 in
	armhf) echo arm ;;
	*) echo "$1" ;;
	esac
}

# kernels prints the rows of the matrix.
kernels() { grep -Ev '^[[:space:]]*(#|$)' "$(dirname "${BASH_SOURCE[0]}")/kernels"; }

# emulated prints the names of the processors whose programs QEMU's user emulation
# runs on the kernel of this machine: both are big-endian, mips has 32 bits.
emulated() { printf 'user-%s\n' s390x mips; }

# names prints all that can be run by name.
names() { kernels | awk '{ print $1 }' && emulated; }

# lab_packages prints the packages of the module in the working directory that
# have tests of the kernel: those whose tests enter a lab, if by way of another
# package.
lab_packages() {
	go list -test -f '{{ .ImportPath }} {{ .Deps }}' ./... | awk '/^[^ ]*\.test .*\/internal\/lab[] ]/ { sub(/\.test$/, "", $1); print $1 }'
}

# kernel_packages prints those of the library. The others, which are about its
# documents, examples and the lab itself, one kernel is enough for.
kernel_packages() { lab_packages | grep -Ev '/(examples|deploy|internal/documents|internal/lab)(/|$)'; }

# byte_packages prints those that a processor may make a difference to: not those
# that need other programs or all of a kernel, which QEMU's user emulation lacks.
byte_packages() { go list ./... | grep -Ev '/(examples|deploy|internal/documents|internal/endtoend)(/|$)'; }

# judge reads a line for each row of the matrix, "ok|FAIL|GONE NAME [ARCH]", says
# how many there are of each, and fails unless all that ran passed and enough ran.
judge() {
	awk '
	{ rows[$1]++ }
	$3 { ran[$3] += $1 != "GONE" }
	END {
		printf "%d passed, %d failed, %d gone\n", rows["ok"], rows["FAIL"], rows["GONE"]
		bad = rows["FAIL"]
		if (rows["GONE"] > 2) { bad = 1; print "more than two rows are gone" }
		for (arch in ran) if (!ran[arch]) { bad = 1; print "no kernel was run for " arch }
		exit bad > 0
	}'
}
