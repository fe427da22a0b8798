// Package web holds the browser's page, built by Vite into dist and embedded here.
// It builds without Node too: Files then holds one page that says how to build the real one.
package web

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed all:dist
var dist embed.FS

//go:embed unbuilt
var unbuilt embed.FS

// Built reports whether the page was built before this program was compiled.
func Built() bool { return built(dist) }

// Files returns the files to serve: index.html for every page of the app, and the hashed files under assets/,
// which never change and may be cached for ever.
func Files() fs.FS { return files(dist) }

// BuildID names the build of the page, or is "unbuilt". A stream's hello carries it: a page that is told another id
// than at first knows that a newer page is there to load.
func BuildID() string { return buildID(dist) }

func built(dist fs.FS) bool {
	_, err := fs.Stat(dist, "dist/index.html")
	return err == nil
}

func files(dist fs.FS) fs.FS {
	if built(dist) {
		return sub(dist, "dist")
	}
	return sub(unbuilt, "unbuilt")
}

func buildID(dist fs.FS) string {
	id, err := fs.ReadFile(dist, "dist/build.txt")
	if err != nil {
		return "unbuilt"
	}
	return strings.TrimSpace(string(id))
}

// sub cannot fail for the two valid constants it is called with.
func sub(files fs.FS, dir string) fs.FS {
	inner, err := fs.Sub(files, dir)
	if err != nil {
		return unbuilt
	}
	return inner
}
