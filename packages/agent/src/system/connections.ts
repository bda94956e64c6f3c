import { BerthError } from '@berth/shared/domain/errors';
import { runCommand } from './command.ts';
import { cleanLine } from './text.ts';
import { answerTogether } from './together.ts';

/** How many open connections lead to an address, for as many addresses as are asked about. */
export type Counts = ReadonlyMap<string, number>;

/**
 * Counts the connections that the kernel's map sent to a container. However many drains ask at the same time, one
 * listing answers them all: one that began before a drain asked might miss a connection made just before the switch.
 */
export class Connections {
  /** Established TCP connections by the address that answers them. Throws `internal` when conntrack cannot be asked. */
  readonly open: () => Promise<Counts>;

  constructor(list: () => Promise<string> = listTranslated) {
    this.open = answerTogether(async () => countsFrom(await list()));
  }
}

/** The second `src=` of a line is where the answers come from: the container. */
export function countsFrom(listing: string): Counts {
  const counts = new Map<string, number>();
  for (const match of listing.matchAll(/ src=\S+ .*? src=(\S+) /g)) {
    const [, address] = match;
    if (address !== undefined) counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

async function listTranslated(): Promise<string> {
  const result = await runCommand('conntrack', ['-L', '-p', 'tcp', '--dst-nat', '--state', 'ESTABLISHED']);
  if (result.code === 0) return result.stdout;
  throw new BerthError(
    'internal',
    `conntrack cannot list connections: ${cleanLine(result.stderr, 300)}. Install conntrack and load nf_conntrack.`,
  );
}
