package format

// Wrap is fmt.Errorf("%s%w", prefix, err), but does not ask err for its text
// before its own text is asked for: to make one may take long, and who tries again
// and again does not read it.
func Wrap(prefix string, err error) error { return &wrapped{prefix, err} }

type wrapped struct {
	prefix string
	err    error
}

func (w *wrapped) Error() string { return w.prefix + w.err.Error() }
func (w *wrapped) Unwrap() error { return w.err }
