// A DHT node of anacrolix's library on loopback, told what to do as libtorrent_dht.py is.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/bep44"
	"github.com/anacrolix/dht/v2/exts/getput"
	"github.com/anacrolix/torrent/bencode"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func bytes(text string) []byte { return must(hex.DecodeString(text)) }

func target(text string) (hash [20]byte) {
	copy(hash[:], bytes(text))
	return
}

func say(answer map[string]any) { fmt.Println(string(must(json.Marshal(answer)))) }

func main() {
	conn := must(net.ListenPacket("udp4", "127.0.0.1:0"))
	config := dht.NewDefaultServerConfig()
	config.Conn = conn
	config.NoSecurity = true
	config.StartingNodes = func() ([]dht.Addr, error) {
		address, err := net.ResolveUDPAddr("udp4", os.Args[1])
		return []dht.Addr{dht.NewAddr(address)}, err
	}
	server := must(dht.NewServer(config))
	must(server.Bootstrap())
	say(map[string]any{"port": conn.LocalAddr().(*net.UDPAddr).Port})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		say(run(ctx, server, strings.Split(lines.Text(), " ")))
		cancel()
	}
}

func run(ctx context.Context, server *dht.Server, words []string) map[string]any {
	arguments := words[1:]
	switch words[0] {
	case "put":
		key := ed25519.NewKeyFromSeed(bytes(arguments[0]))
		salt := bytes(arguments[2])
		put := bep44.Put{V: arguments[4], K: (*[32]byte)(key.Public().(ed25519.PublicKey)), Salt: salt}
		put.Seq = must(strconv.ParseInt(arguments[3], 10, 64))
		put.Sign(key)
		stats := must(getput.Put(ctx, put.Target(), server, salt, func(int64) bep44.Put { return put }))
		return map[string]any{"taken": stats.NumResponses}
	case "put-immutable":
		put := bep44.Put{V: arguments[0]}
		stats := must(getput.Put(ctx, put.Target(), server, nil, func(int64) bep44.Put { return put }))
		return map[string]any{"taken": stats.NumResponses}
	case "get":
		salt := bytes(arguments[1])
		found, _, err := getput.Get(ctx, bep44.MakeMutableTarget([32]byte(bytes(arguments[0])), salt), server, nil, salt)
		return item(found, err)
	case "get-immutable":
		found, _, err := getput.Get(ctx, target(arguments[0]), server, nil, nil)
		return item(found, err)
	case "announce":
		announce := must(server.AnnounceTraversal(target(arguments[0]), dht.AnnouncePeer(dht.AnnouncePeerOpts{
			Port: must(strconv.Atoi(arguments[1])),
		})))
		for range announce.Peers {
		}
		<-announce.Finished()
		return map[string]any{"taken": 0}
	case "peers":
		announce := must(server.AnnounceTraversal(target(arguments[0])))
		peers := []string{}
		for values := range announce.Peers {
			for _, peer := range values.Peers {
				peers = append(peers, peer.String())
			}
		}
		return map[string]any{"peers": peers}
	}
	panic(words[0])
}

func item(found getput.GetResult, err error) map[string]any {
	var value string
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	if err := bencode.Unmarshal(found.V, &value); err != nil {
		return map[string]any{"error": err.Error()}
	}
	return map[string]any{"value": value, "seq": found.Seq}
}
