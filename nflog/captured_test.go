package nflog_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/captured"
	"github.com/nfpacket/nfpacket/nflog"
)

var update = flag.Bool("update", false, "write down what captured messages decode to")

// typePacket is NFULNL_MSG_PACKET with its subsystem.
const typePacket = 0x0400

func TestCapturedMessagesDecode(t *testing.T) {
	for _, f := range captured.Native(t) {
		t.Run(f.Name, func(t *testing.T) {
			var text strings.Builder
			for _, m := range f.Messages(t, typePacket) {
				var p nflog.Packet
				if err := p.Decode(m); err != nil {
					t.Error(err)
				}
				text.WriteString("packet\n" + captured.Describe("", p))
				if c, err := p.Conntrack(); err == nil {
					text.WriteString(captured.Describe("connection: ", c))
				} else if err != nflog.ErrUntracked {
					t.Error(err)
				}
			}
			f.CompareText(t, text.String(), *update)
		})
	}
}
