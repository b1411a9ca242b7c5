# Sourced: apt with its own package lists, so that asking for other suites and
# architectures neither needs root nor changes what the machine's apt sees.

fail() { echo "${0##*/}: $*" >&2; exit 1; }

# debian_uri prints the Debian archive that this machine is configured to use.
debian_uri() {
	local uri=${NFPACKET_DEBIAN:-}
	[ -n "$uri" ] || uri=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m1 '/debian/$') ||
		fail "no Debian archive in apt's sources: set NFPACKET_DEBIAN to the URI of one"
	echo "$uri"
}

# private_apt FOLDER SUITE... sets the array apt to the options that make
# apt-get and apt-cache keep to FOLDER and know nothing but those suites.
private_apt() {
	local folder=$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg uri
	[ -r "$keyring" ] || fail "no $keyring: install debian-archive-keyring"
	uri=$(debian_uri)
	shift
	mkdir -p "$folder"/lists/partial "$folder"/cache/archives/partial
	printf "deb [signed-by=$keyring] $uri %s main\n" "$@" >"$folder/sources.list"
	apt=(-q -o Dir::State::Lists="$folder/lists" -o Dir::Cache="$folder/cache"
		-o Dir::Etc::SourceList="$folder/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
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

# kernel_packages prints the packages of the module in the working directory
# that have tests of the kernel: those whose tests enter a lab.
kernel_packages() {
	go list -f '{{ .ImportPath }} {{ .TestImports }} {{ .XTestImports }}' ./... | awk '/internal\/lab[] ]/ { print $1 }'
}
