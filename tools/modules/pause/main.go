// pause is the first process of a pod: it holds the pod's namespaces until it is told to end, and
// waits for processes whose own parent is gone.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGCHLD, syscall.SIGINT, syscall.SIGTERM)
	for {
		reap()
		if received := <-signals; received != syscall.SIGCHLD {
			return
		}
	}
}

func reap() {
	for {
		ended, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err != syscall.EINTR && ended <= 0 {
			return
		}
	}
}
