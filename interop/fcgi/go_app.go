// go_app: the application of README.md on Go's net/http/fcgi, which serves many requests at once on one connection.
//
// Descriptor 0 is the listening socket. What the library makes of the parameters is shown the way it came: fields under
// the names that CGI gives them.
package main

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/fcgi"
	"os"
	"strconv"
	"strings"
	"time"
)

type body struct {
	Bytes int64  `json:"bytes"`
	Sha1  string `json:"sha1"`
}

type seen struct {
	Method string            `json:"method"`
	URI    string            `json:"uri"`
	Fields map[string]string `json:"fields"`
	Params map[string]string `json:"params"`
	Body   body              `json:"body"`
}

func see(w http.ResponseWriter, r *http.Request) {
	hash := sha1.New()
	n, _ := io.Copy(hash, r.Body)
	s := seen{r.Method, r.URL.RequestURI(), map[string]string{"HOST": r.Host}, fcgi.ProcessEnv(r),
		body{n, hex.EncodeToString(hash.Sum(nil))}}
	for name, values := range r.Header {
		name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if name == "CONTENT_TYPE" { // the library tells it as a field
			s.Params[name] = values[0]
		} else {
			s.Fields[name] = strings.Join(values, ", ")
		}
	}
	if r.ContentLength > 0 {
		s.Params["CONTENT_LENGTH"] = strconv.FormatInt(r.ContentLength, 10)
	}
	// These the library takes for itself; what it made of them is as good.
	s.Params["REMOTE_ADDR"] = strings.Trim(r.RemoteAddr[:strings.LastIndex(r.RemoteAddr, ":")], "[]")
	s.Params["QUERY_STRING"] = r.URL.RawQuery
	s.Params["REQUEST_METHOD"] = r.Method
	s.Params["SERVER_PROTOCOL"] = r.Proto
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s)
}

func large(w http.ResponseWriter, left int) {
	block := make([]byte, 65536)
	for i := range block {
		block[i] = byte(i % 251)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	for left > 0 {
		n := len(block)
		if left < n {
			n = left
		}
		if _, err := w.Write(block[:n]); err != nil {
			return
		}
		left -= n
	}
}

// The next piece waits until a file says that the last one has arrived.
func pieces(w http.ResponseWriter, gate string, n int) {
	w.Header().Set("Content-Type", "text/plain")
	for i := 1; i <= n; i++ {
		fmt.Fprintf(w, "piece %d\n", i)
		w.(http.Flusher).Flush()
		for turn := 0; i < n && turn < 6000; turn++ {
			if _, err := os.Stat(fmt.Sprintf("%s.%d", gate, i)); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

func answer(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	n, _ := strconv.Atoi(query.Get("n"))
	w.Header().Set("Content-Type", "text/plain")
	switch strings.Split(r.URL.Path, "/")[1] {
	case "see":
		see(w, r)
	case "echo":
		w.Header().Set("Content-Type", "application/octet-stream")
		io.Copy(w, r.Body)
	case "large":
		large(w, n)
	case "status":
		code, _ := strconv.Atoi(query.Get("code"))
		w.WriteHeader(code)
		if code != 204 && code != 304 {
			fmt.Fprintf(w, "status %d\n", code)
		}
	case "redirect":
		w.Header().Set("Location", query.Get("to"))
		w.WriteHeader(302)
	case "empty":
	case "fields":
		w.Header().Set("X-Long", strings.Repeat("x", n))
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
	case "gate":
		pieces(w, query.Get("at"), n)
	default:
		w.WriteHeader(404)
	}
}

func main() {
	log.Fatal(fcgi.Serve(nil, http.HandlerFunc(answer)))
}
