import { createHash } from 'node:crypto';
import { run } from './run.mjs';

/** Our own daemon's default bridge. `docker0` may belong to another daemon, whose address a second one would change. */
export const bridgeName = (instance) => `bd-${instance}`;

/** Makes the bridge with a /24 that nothing on this host uses; `wanted` (CIDR) is taken again when it still is free. */
export async function ensureBridge(name, wanted) {
  const links = JSON.parse(
    (await run('ip', ['-j', 'address'], { what: 'reading the host addresses' })).stdout || '[]',
  );
  const own = links.find((link) => link.ifname === name);
  const present = own?.addr_info?.find((item) => item.family === 'inet');
  if (present) {
    await run('ip', ['link', 'set', name, 'up']);
    return `${present.local}/${present.prefixlen}`;
  }
  const routes = JSON.parse((await run('ip', ['-j', '-4', 'route', 'show', 'table', 'all'])).stdout || '[]');
  const taken = [
    ...links
      .flatMap((link) => link.addr_info ?? [])
      .filter((item) => item.family === 'inet')
      .map((item) => `${item.local}/${item.prefixlen}`),
    ...routes.map((route) => route.dst).filter((dst) => /^\d/.test(dst ?? '')),
  ].map(parse);
  const address = [wanted, ...candidates(name)]
    .filter(Boolean)
    .find((cidr) => !taken.some((range) => overlaps(range, parse(cidr))));
  if (!own)
    await run('ip', ['link', 'add', 'name', name, 'type', 'bridge'], { what: `making the bridge ${name}` });
  await run('ip', ['address', 'add', address, 'dev', name], {
    what: `giving ${name} its address ${address}`,
  });
  await run('ip', ['link', 'set', name, 'up']);
  return address;
}

/** Removes the bridge, and the rules about it that dockerd leaves behind when it ends. */
export async function removeBridge(name) {
  for (const table of ['nat', 'filter']) {
    const { stdout } = await run('iptables', ['-w', '-t', table, '-S'], { allowFailure: true });
    for (const line of stdout.split('\n')) {
      const words = line.split(' ');
      if (words[0] !== '-A' || !words.includes(name)) continue;
      await run('iptables', ['-w', '-t', table, '-D', ...words.slice(1)], { allowFailure: true });
    }
  }
  await run('ip', ['link', 'delete', name], { allowFailure: true });
}

/** 172.18.0.1/24 … 172.31.255.1/24, beginning at a place the name decides. Docker's own pools start at 172.17. */
function* candidates(name) {
  const total = 14 * 256;
  const first = createHash('sha256').update(name).digest().readUInt32BE(0) % total;
  for (let i = 0; i < total; i += 1) {
    const at = (first + i) % total;
    yield `172.${18 + Math.floor(at / 256)}.${at % 256}.1/24`;
  }
}

/** @returns {[number, number]} first and last address as numbers */
function parse(cidr) {
  const [address, bits = '32'] = cidr.split('/');
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const size = 2 ** (32 - Number(bits));
  const first = Math.floor(number / size) * size;
  return [first, first + size - 1];
}

function overlaps([a, b], [c, d]) {
  return a <= d && c <= b;
}
