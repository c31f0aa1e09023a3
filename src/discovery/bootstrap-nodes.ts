/** Long-running DHT nodes that their operators offer as a first contact: used when the user names none. */
export const PUBLIC_DHT_NODES: readonly string[] = [
  'router.bittorrent.com:6881',
  'dht.transmissionbt.com:6881',
  'dht.libtorrent.org:25401',
];
