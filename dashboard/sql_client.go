package dashboard

import (
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"time"
)

// sqlBody is a result on its way to the client, who may take as long as it goes on reading: the server's own
// limit is on the whole answer.
type sqlBody struct {
	io.ReadCloser
	client net.Conn
	end    func()
}

func (b *sqlBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	_ = b.client.SetWriteDeadline(time.Now().Add(writeTimeout)) // a broken connection shows in the write
	return n, err
}

func (b *sqlBody) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

// watchEvery is how soon a client's leaving is noticed while its statement computes.
const watchEvery = 500 * time.Millisecond

// watchClient calls left when the client closes its connection, which the server itself notices only when it
// writes. The caller must call stop, which waits for the watch's end.
func watchClient(client net.Conn, left func()) (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-stopped:
				return
			case <-tick.C:
			}
			if hasLeft(client) {
				left()
				return
			}
		}
	}()
	return func() {
		close(stopped)
		<-ended
	}
}

// hasLeft looks whether the connection's other end is closed, without taking a byte of what it may have sent.
func hasLeft(client net.Conn) bool {
	if secured, is := client.(*tls.Conn); is {
		client = secured.NetConn()
	}
	socket, is := client.(syscall.Conn)
	if !is {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err == syscall.ECONNRESET
	})
	return closed || err != nil
}
