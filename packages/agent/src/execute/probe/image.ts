import { readFile } from 'node:fs/promises';
import { BerthError } from '@berth/shared/domain/errors';
import type { ExecuteDeps } from '../context.ts';
import { programOf, type Arch } from './program.ts';
import type { Program } from './attempt.ts';
import { tarOf, type TarEntry } from './tar.ts';

/** Where a static busybox is looked for; `BERTH_BUSYBOX` comes first. */
const PLACES = ['/opt/berth/busybox', '/bin/busybox', '/usr/bin/busybox'];

/**
 * Runs the named programs and prints of each its name, its exit code and what it wrote. First come the seconds that one may
 * take, and how many at a time. As few processes as can be: on a busy host each has to wait for its turn.
 */
const RUN = `#!/bin/sh
limit=$1
together=$2
shift 2
one() {
  timeout -s KILL "$limit" "/probe/p/$1" > "/tmp/$1"
  code=$?
  out=
  [ -s "/tmp/$1" ] && out=$(xxd -p "/tmp/$1")
  echo "$1 $code" $out
}
n=0
for id in "$@"; do
  one "$id" &
  n=$((n + 1))
  [ $((n % together)) = 0 ] && wait
done
wait
`;

/** Seconds until whatever a probe started ends by itself: longer than the longest probe. */
export const LIFE_S = 200;

/** What another tenant runs: a server of each kind. Nothing lasts longer than a probe. */
const SERVE = `#!/bin/sh
httpd -p 8080 -h /probe/www
exec timeout -s KILL ${LIFE_S} /probe/p/udp-echo
`;

/** As many processes as it can get; how many that were comes last. */
const FORKS = `#!/bin/sh
trap 'echo "started $n"' EXIT
n=0
while [ "$n" -lt 400 ]; do
  sleep 60 &
  n=$((n + 1))
done
`;

/** More memory than the container may have, and more disk than its tmpfs. */
const MEMORY = `#!/bin/sh
dd if=/dev/zero of=/dev/null bs=160M count=1 2> /dev/null
echo "ended $?"
`;
const DISK = `#!/bin/sh
dd if=/dev/zero of=/tmp/big bs=1M count=64 2> /dev/null
echo "ended $? size $(stat -c %s /tmp/big)"
rm -f /tmp/big
`;

const APPLETS = 'sh dd echo httpd ip kill ls rm sleep stat timeout xxd true cat'.split(' ');

/** Docker's name of the image of one probe. */
export function imageName(agent: string): string {
  return `berth-probe/${agent}:now`;
}

/** Makes the probe's image on this host, without a registry. Errors: `unavailable` without a static busybox. */
export async function makeImage(
  deps: ExecuteDeps,
  programs: readonly Program[],
  signal: AbortSignal,
): Promise<string> {
  const { docker, config } = deps.system;
  const name = imageName(config.agent);
  const arch: Arch = process.arch === 'arm64' ? 'arm64' : 'x64';
  const busybox = await staticBusybox();
  const file = (path: string, data: Buffer | string, mode = 0o755): TarEntry => ({
    path,
    mode,
    data: Buffer.from(data),
  });
  const folder = (path: string, mode = 0o755): TarEntry => ({ path, mode, data: null });
  const made: TarEntry[] = [
    ...['bin/', 'etc/', 'tmp/', 'data/', 'run/', 'var/', 'probe/', 'probe/p/', 'probe/www/'].map((path) =>
      folder(path),
    ),
    file('bin/busybox', busybox),
    ...APPLETS.map((applet) => ({ path: `bin/${applet}`, mode: 0o777, data: 'busybox' })),
    file('etc/passwd', 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n', 0o644),
    file('probe/run', RUN),
    file('probe/serve', SERVE),
    file('probe/forks', FORKS),
    file('probe/memory', MEMORY),
    file('probe/disk', DISK),
    file('probe/www/index.html', 'berth\n', 0o644),
    file('probe/root-only', 'berth\n', 0o400),
    ...programs.flatMap(({ id, calls, patient, again }) => {
      const mode = id === 'suid' ? 0o4755 : 0o755;
      const made = [file(`probe/p/${id}`, programOf(arch, calls, again), mode)];
      if (patient !== undefined) made.push(file(`probe/p/${id}.patient`, programOf(arch, patient), mode));
      return made;
    }),
  ];
  await docker.importImage(tarOf(made), name, { signal });
  return name;
}

async function staticBusybox(): Promise<Buffer> {
  const given = process.env['BERTH_BUSYBOX'];
  for (const path of given === undefined || given === '' ? PLACES : [given]) {
    const data = await readFile(path).catch(() => null);
    if (data !== null && isStatic(data)) return data;
  }
  throw new BerthError(
    'unavailable',
    'The probe needs a static busybox on the host, and there is none. Install the package busybox-static.',
  );
}

/** An ELF file that asks for no interpreter. */
function isStatic(data: Buffer): boolean {
  if (data.length < 64 || data.readUInt32BE(0) !== 0x7f454c46) return false;
  const [at, size, count] = [Number(data.readBigUInt64LE(32)), data.readUInt16LE(54), data.readUInt16LE(56)];
  for (let index = 0; index < count; index += 1) if (data.readUInt32LE(at + index * size) === 3) return false;
  return true;
}
