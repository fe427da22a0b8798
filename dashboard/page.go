package dashboard

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// page is the built page in memory, each file compressed once.
type page struct {
	index  file
	assets map[string]file // by name below assets/
}

type file struct {
	contentType string
	plain       []byte
	gzipped     []byte // nil where it saves nothing
}

const assetsFolder = "assets"

func loadPage(files fs.FS) (page, error) {
	index, err := loadFile(files, "index.html")
	if err != nil {
		return page{}, err
	}
	p := page{index, map[string]file{}}
	err = fs.WalkDir(files, assetsFolder, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == assetsFolder {
			return nil // not built: the index says how to
		}
		if err != nil || entry.IsDir() {
			return err
		}
		p.assets[strings.TrimPrefix(name, assetsFolder+"/")], err = loadFile(files, name)
		return err
	})
	if err != nil {
		return page{}, fmt.Errorf("load the page: %w", err)
	}
	return p, nil
}

func loadFile(files fs.FS, name string) (file, error) {
	plain, err := fs.ReadFile(files, name)
	if err != nil {
		return file{}, fmt.Errorf("load the page: %w", err)
	}
	f := file{contentType: contentType(name, plain), plain: plain}
	var packed bytes.Buffer
	// Neither the level nor a buffer can fail.
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	_, _ = w.Write(plain)
	_ = w.Close()
	if packed.Len() < len(plain)*9/10 {
		f.gzipped = packed.Bytes()
	}
	return f, nil
}

// contentType does not ask the machine's tables for what a browser must be told rightly.
func contentType(name string, content []byte) string {
	switch ext := path.Ext(name); ext {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	default:
		if known := mime.TypeByExtension(ext); known != "" {
			return known
		}
		return http.DetectContentType(content)
	}
}

// application answers every address of the page with the same index.
func (p page) application(c *fiber.Ctx) error { return p.index.send(c) }

// asset answers with a file whose name changes with its content.
func (p page) asset(c *fiber.Ctx) error {
	f, known := p.assets[c.Params("*")]
	if !known {
		return refuse(http.StatusNotFound, "not_found", "there is no such file; the page may have been built anew: reload it")
	}
	c.Set(fiber.HeaderCacheControl, "public, max-age=31536000, immutable")
	return f.send(c)
}

func (f file) send(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, f.contentType)
	if f.gzipped == nil {
		return c.Send(f.plain)
	}
	c.Vary(fiber.HeaderAcceptEncoding)
	if !c.Request().Header.HasAcceptEncoding("gzip") {
		return c.Send(f.plain)
	}
	c.Set(fiber.HeaderContentEncoding, "gzip")
	return c.Send(f.gzipped)
}
