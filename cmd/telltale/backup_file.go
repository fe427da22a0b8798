package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A backup file is a tar of these parts, the head first. What ClickHouse writes is a tar as well.
const (
	headPart    = "telltale-backup.json"
	storePart   = "store.jsonl"
	historyPart = "history.tar"
)

// backupHead says what a backup file is.
type backupHead struct {
	Version string    `json:"version"` // of the telltale that wrote it
	Created time.Time `json:"created"`
	Records int       `json:"records"` // users and tokens
	History bool      `json:"history"` // whether there is a part with it
}

// parts are the files behind the head.
func (s scratch) parts(head backupHead) []string {
	if head.History {
		return []string{s.store(), s.history()}
	}
	return []string{s.store()}
}

// pack writes the parts to a file, which is there whole or not at all, and returns its size in bytes.
func (s scratch) pack(name string, head backupHead) (size int64, err error) {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".part-*") // mode 0600: it has hashes of passwords
	if err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	size, err = s.write(file, head)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	// Unlike a rename, a link does not replace what somebody else put there.
	if err := os.Link(file.Name(), name); err != nil {
		return 0, fmt.Errorf("write the backup: %w", err)
	}
	return size, nil
}

func (s scratch) write(file *os.File, head backupHead) (size int64, err error) {
	text, err := json.Marshal(head)
	if err != nil {
		return 0, err
	}
	archive := tar.NewWriter(file)
	err = archive.WriteHeader(&tar.Header{Name: headPart, Mode: 0o600, Size: int64(len(text)), ModTime: head.Created})
	if err == nil {
		_, err = archive.Write(text)
	}
	for _, part := range s.parts(head) {
		err = errors.Join(err, addPart(archive, part))
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		return 0, err
	}
	return file.Seek(0, io.SeekCurrent)
}

func addPart(archive *tar.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := archive.WriteHeader(&tar.Header{Name: filepath.Base(path), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return err
	}
	_, err = io.Copy(archive, file)
	return err
}

var errNoBackup = errors.New("the file is no backup of telltale's")

// unpack reads a backup file into its parts.
func (s scratch) unpack(name string) (backupHead, error) {
	file, err := os.Open(name)
	if err != nil {
		return backupHead{}, fmt.Errorf("read the backup: %w", err)
	}
	defer func() { _ = file.Close() }()
	head, err := s.read(tar.NewReader(file))
	if err != nil {
		return backupHead{}, fmt.Errorf("read the backup %s: %w", name, err)
	}
	return head, nil
}

func (s scratch) read(archive *tar.Reader) (head backupHead, err error) {
	first, err := archive.Next()
	if err != nil || first.Name != headPart {
		return head, errors.Join(errNoBackup, err)
	}
	if err := json.NewDecoder(archive).Decode(&head); err != nil {
		return head, errors.Join(errNoBackup, err)
	}
	for _, part := range s.parts(head) {
		next, err := archive.Next()
		if err != nil || next.Name != filepath.Base(part) {
			return head, fmt.Errorf("%s is missing: the file is cut short: %w", filepath.Base(part), errors.Join(errNoBackup, err))
		}
		if err := readPart(archive, part); err != nil {
			return head, err
		}
	}
	return head, nil
}

func readPart(archive *tar.Reader, path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, archive)
	return errors.Join(err, file.Close())
}
