package engine

import (
	"net"
	"os"
)

// NetlinkInode is the field of /proc/net/netlink that has the socket's inode
// (netlink_native_seq_show): sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode.
const NetlinkInode = 9

// OpenProc opens a file below /proc/net as the socket's network namespace has it,
// wherever the program itself is: "netfilter/nfnetlink_queue", for example. The file
// may be kept and read again from its start. It needs /proc, and the right to read
// the file: the lists below netfilter belong to root of the namespace, and can
// otherwise be read with CAP_DAC_READ_SEARCH. If the program is in another namespace
// it also needs CAP_NET_ADMIN over that and CAP_SYS_ADMIN over both. The error names
// what is missing.
func (c *Conn) OpenProc(name string) (*os.File, error) {
	if c.never() {
		return nil, net.ErrClosed
	}
	f, err := openProc(c.t, name)
	return f, c.check(err)
}

// InUserNamespace reports whether the socket's network namespace belongs to
// another user namespace than the system's first, as in a container without
// root. Some of what the kernel takes from others it ignores there. It is false
// where that cannot be told: of namespaces that belong to who made the program's own.
func (c *Conn) InUserNamespace() bool { return !c.never() && inUserNamespace(c.t) }

// InForeignNetNS reports whether the socket's network namespace belongs neither to
// the program's user namespace nor to one below it: the program's privileges do not
// apply there.
func (c *Conn) InForeignNetNS() bool { return !c.never() && foreignNetNS(c.t) }
