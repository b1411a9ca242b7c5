package format

// Wrap is fmt.Errorf("%s%w", prefix, err), but does not ask err for its text
// before its own text is asked for: to make one may take long, and who tries again
// and again does not read it.
func Wrap(prefix string, err error) error { return &wrapped{prefix, err} }

type wrapped struct {
	prefix string
	err    error
}

// Error returns the prefix and the text of the error.
func (w *wrapped) Error() string { return w.prefix + w.err.Error() }

// Unwrap returns the error without the prefix.
func (w *wrapped) Unwrap() error { return w.err }
