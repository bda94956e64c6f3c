import { z } from 'zod';
import { runChecked } from '../../system/command.ts';

/** An address of this host, as the kernel has it now. */
export interface HostAddress {
  address: string;
  link: string;
  /** Of the link; one that is made anew under the same name has another, and a later one a higher. */
  index: number;
  /** `made`: a bridge, a cable, a tunnel; somebody made it and may take it down. */
  kind: 'device' | 'made';
}

const Links = z.array(
  z.object({
    ifindex: z.number().optional(),
    ifname: z.string().optional(),
    flags: z.array(z.string()).optional(),
    linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
    addr_info: z.array(z.object({ local: z.string().optional() })).optional(),
  }),
);

/** Addresses of links that are up, whether or not anything is plugged in: the host answers at all of them. */
export async function readAddresses(signal: AbortSignal): Promise<HostAddress[]> {
  const text = await runChecked('ip', ['-j', '-d', 'addr', 'show', 'up'], { signal });
  return addressesIn(text);
}

/** Reads what `ip -j -d addr` prints. */
export function addressesIn(text: string): HostAddress[] {
  const links = Links.parse(JSON.parse(text.trim() === '' ? '[]' : text));
  return links.flatMap(({ ifindex, ifname, flags = [], linkinfo, addr_info: infos = [] }) => {
    if (ifindex === undefined || ifname === undefined || !flags.includes('UP')) return [];
    const kind = linkinfo?.info_kind === undefined ? ('device' as const) : ('made' as const);
    return infos.flatMap(({ local }) =>
      local === undefined ? [] : [{ address: local, link: ifname, index: ifindex, kind }],
    );
  });
}
