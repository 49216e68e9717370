// What the system may be short of, by the code of its error, and what to raise.

export const SHORTAGES: Readonly<Record<string, string>> = {
  EMFILE: 'file descriptors of this process: raise LimitNOFILE (systemd), --ulimit nofile (container) or ulimit -n',
  ENFILE: 'file descriptors of this machine: raise fs.file-max (sysctl)',
  EADDRNOTAVAIL:
    'ports for connections to that server: widen net.ipv4.ip_local_port_range (sysctl), or lower upstream.max_connections',
  ENOBUFS:
    process.platform === 'win32'
      ? 'ports for connections to that server: widen them (netsh interface ipv4 set dynamicport tcp), or lower upstream.max_connections'
      : "memory of this machine's network: raise net.ipv4.tcp_mem (sysctl), or lower the limits on connections",
  ENOMEM: 'memory: give this machine more, or lower the limits on connections',
};
