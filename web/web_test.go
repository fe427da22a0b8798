package web

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestUnbuiltPageSaysHowToBuild(t *testing.T) {
	empty := fstest.MapFS{"dist/.gitkeep": {}}
	if built(empty) {
		t.Error("an empty dist counts as built")
	}
	if got := buildID(empty); got != "unbuilt" {
		t.Errorf("build id of an empty dist = %q, want unbuilt", got)
	}
	page, err := fs.ReadFile(files(empty), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "npm --prefix web run build") {
		t.Errorf("the page does not say how to build it:\n%s", page)
	}
}

func TestBuiltPageIsServed(t *testing.T) {
	full := fstest.MapFS{
		"dist/index.html":    {Data: []byte("the page")},
		"dist/build.txt":     {Data: []byte("abc123\n")},
		"dist/assets/app.js": {Data: []byte("1")},
	}
	if !built(full) {
		t.Error("a dist with index.html does not count as built")
	}
	if got := buildID(full); got != "abc123" {
		t.Errorf("build id = %q, want abc123", got)
	}
	for name, want := range map[string]string{"index.html": "the page", "assets/app.js": "1"} {
		got, err := fs.ReadFile(files(full), name)
		if err != nil || string(got) != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

// Whichever of the two was embedded, the exported functions agree with each other.
func TestEmbedded(t *testing.T) {
	if _, err := fs.Stat(Files(), "index.html"); err != nil {
		t.Error(err)
	}
	if Built() == (BuildID() == "unbuilt") {
		t.Errorf("Built() = %v, BuildID() = %q", Built(), BuildID())
	}
}
