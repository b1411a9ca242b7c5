package nfqueue_test

import "github.com/nfpacket/nfpacket/nfqueue"

// check compares what the kernel has with what was given.
func (x *interleaving) check(cut bool) {
	waiting := map[uint32]bool{}
	for _, id := range x.k.Waiting() {
		waiting[id] = true
	}
	for id := uint32(1); id <= modelPackets; id++ {
		if waiting[id] {
			continue
		}
		got, want := x.k.Verdict(id), verdictOf(id)
		if got.Equal(want) && !x.refused[id] || got.Equal(fallback) && (x.refused[id] || x.trouble || cut) {
			continue
		}
		if _, rewritten := got.Payload(); rewritten && got.Action() == nfqueue.ActionAccept {
			continue
		}
		x.t.Errorf("seed %d: packet %d got %v, want %v (refused by the kernel: %v)", x.seed, id, got, want, x.refused[id])
	}
	at := map[uint32]int{}
	for i, id := range x.k.Decided() {
		if _, twice := at[id]; twice {
			x.t.Errorf("seed %d: packet %d was decided twice", x.seed, id)
		}
		at[id] = i
	}
	for a, first := range x.given {
		for b, second := range x.given {
			if overtook(at, a, b) && first.ended < second.began && (first.run == second.run || first.run*second.run == 0) &&
				!x.trouble && !x.refused[a] && !cut {
				x.t.Errorf("seed %d: packet %d, decided at %+v, overtook %d, decided at %+v", x.seed, b, second, a, first)
			}
		}
	}
}

// overtook reports whether packet b went before a.
func overtook(at map[uint32]int, a, b uint32) bool {
	i, first := at[a]
	j, second := at[b]
	return first && second && j < i
}
