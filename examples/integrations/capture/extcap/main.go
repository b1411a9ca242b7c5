// Extcap shows NFQUEUE and NFLOG as interfaces in Wireshark. Put it into
// Wireshark's folder for such programs (Help, About, Folders, Personal Extcap):
//
//	go build -o ~/.local/lib/wireshark/extcap/nfpacket ./extcap
//	sudo setcap cap_net_admin+ep ~/.local/lib/wireshark/extcap/nfpacket
//
// Wireshark runs it with the arguments of its extcap interface, which
// https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html describes.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nfpacket/nfpacket/examples/integrations/capture/internal/source"
	"github.com/nfpacket/nfpacket/examples/integrations/capture/pcapng"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// The interfaces. libpcap has some of its own, called nfqueue and nflog.
const (
	queueName = "nfpacket-queue"
	logName   = "nfpacket-log"
)

// What Wireshark asks for, and the values of its dialog.
var (
	interfaces = flag.Bool("extcap-interfaces", false, "list the interfaces")
	dlts       = flag.Bool("extcap-dlts", false, "list the link types of an interface")
	config     = flag.Bool("extcap-config", false, "list what can be set for an interface")
	capture    = flag.Bool("capture", false, "capture")
	fifo       = flag.String("fifo", "", "where to write")
	name       = flag.String("extcap-interface", "", "the interface")
	_          = flag.String("extcap-version", "", "Wireshark's version")
	_          = flag.String("extcap-capture-filter", "", "not supported: the rule is the filter")

	queue   = flag.Uint("queue", 7, "number of the queue")
	group   = flag.Uint("group", 5, "number of the log group")
	verdict = flag.String("verdict", "accept", "what queued packets get")
	snaplen = flag.Uint("snaplen", 0, "bytes of a packet to capture, 0 is all")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	switch {
	case *interfaces:
		fmt.Println("extcap {version=1.0}{help=https://github.com/nfpacket/nfpacket}")
		fmt.Printf("interface {value=%s}{display=NFQUEUE: packets that netfilter rules queue}\n", queueName)
		fmt.Printf("interface {value=%s}{display=NFLOG: packets that netfilter rules log}\n", logName)
	case *dlts:
		fmt.Printf("dlt {number=%d}{name=LINUX_SLL2}{display=Linux cooked-mode capture v2}\n", pcapng.SLL2)
	case *config:
		fmt.Print(dialog[*name])
	case *capture:
		if err := record(); err != nil {
			log.Fatal(err) // Wireshark shows it
		}
	}
}

// dialog is what can be set for each interface.
var dialog = map[string]string{
	queueName: `arg {number=0}{call=--queue}{display=Queue}{tooltip=The number in the rule, as in "queue num 7"}{type=unsigned}{range=0,65535}{default=7}
arg {number=1}{call=--verdict}{display=Verdict}{tooltip=What the packets get}{type=selector}
value {arg=1}{value=accept}{display=accept}{default=true}
value {arg=1}{value=stop}{display=stop: past all other chains of the hook}
value {arg=1}{value=drop}{display=drop}
` + length,
	logName: `arg {number=0}{call=--group}{display=Group}{tooltip=The number in the rule, as in "log group 5"}{type=unsigned}{range=0,65535}{default=5}
` + length,
}

const length = `arg {number=2}{call=--snaplen}{display=Bytes of a packet}{tooltip=0 captures whole packets}{type=unsigned}{default=0}
`

// record captures into the fifo until Wireshark stops the program.
func record() error {
	cfg := source.Config{Queue: -1, Link: pcapng.SLL2, CopyRange: uint32(*snaplen)}
	switch *name {
	case queueName:
		cfg.Queue = int(*queue)
	case logName:
		if *group > 65535 {
			return fmt.Errorf("the group is %d, not between 0 and 65535", *group)
		}
		cfg.Groups = []uint16{uint16(*group)}
	default:
		return fmt.Errorf("no interface is called %q", *name)
	}
	switch *verdict {
	case "accept":
		cfg.Verdict = nfqueue.Accept()
	case "stop":
		cfg.Verdict = nfqueue.Stop()
	case "drop":
	default:
		return fmt.Errorf("no verdict is called %q", *verdict)
	}
	f, err := os.OpenFile(*fifo, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	w, err := pcapng.NewWriter(f, pcapng.SLL2)
	if err != nil {
		return err
	}
	defer w.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, gone := context.WithCancel(ctx)
	defer gone()
	s, err := source.Open(cfg, func(r pcapng.Record) error {
		if w.Write(r) != nil {
			gone() // Wireshark has closed the fifo, which is how a capture ends
		}
		return nil
	})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Run(ctx)
}
