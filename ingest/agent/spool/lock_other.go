//go:build !unix

package spool

import "os"

// lock does nothing: there is no lock here that ends with the process.
func lock(*os.File) (held bool, err error) { return false, nil }
