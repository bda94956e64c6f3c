import type { Egress } from '@berth/shared/domain/egress';
import type { HostConfig } from '../../system/config.ts';
import type { Attempt, Target } from './attempt.ts';
import { lookup, shut, works, type Place } from './reach.ts';
import { sweep } from './sweep.ts';
import type { HostTarget, HostTargets } from './targets.ts';
import type { BeyondAddresses, ProbeTenant, Room } from './world.ts';

const OWN: Target = { kind: 'container', whose: 'own' };
const OTHER: Target = { kind: 'container', whose: 'other' };
const BEYOND: Target = { kind: 'beyond' };
const ELSEWHERE: Target = { kind: 'elsewhere' };

type Rooms = Record<ProbeTenant, Room>;
type Config = Pick<HostConfig, 'agent' | 'virtualCidr'>;

/** What must work. It is tried first: how long it takes tells how slow the host is. */
export function controlAttempts({ agent }: Config, { probe_a: own }: Rooms): Attempt[] {
  const mine = {
    what: 'another container of the same tenant',
    address: own.address(1),
    port: 8080,
    target: OWN,
  };
  return [
    works('own-tcp', 'network', 'tcp', mine),
    works('own-udp', 'network', 'udp', mine),
    works('own-icmp', 'network', 'icmp', mine),
    lookup('own-name', 'the name of an own container', `${agent}-${own.network.tenant}-nobody`, 'own'),
  ];
}

/** Other tenants, metadata and link-local, and every address of the host. */
export function reachAttempts(
  { agent, virtualCidr }: Config,
  { probe_a: own, probe_b: other }: Rooms,
  targets: HostTargets,
  beyond: BeyondAddresses,
): Attempt[] {
  const theirs = {
    what: 'another tenant’s container',
    address: other.address(0),
    port: 8080,
    target: OTHER,
  };
  const name = `${agent}-${other.network.tenant}-web`;
  const stranger = { stranger: other.address(0) };
  const attempts: Attempt[] = [
    shut('other-tcp', 'network', 'tcp', theirs),
    shut('other-udp', 'network', 'udp', theirs),
    shut('other-icmp', 'network', 'icmp', theirs),
    lookup('other-name', 'the name of another tenant’s container', name, stranger),
    lookup('other-svc', 'the service name of another tenant', 'web', stranger),
    shut('other-gw', 'network', 'icmp', {
      what: 'another tenant’s gateway',
      address: other.network.gateway,
      port: 0,
      target: { kind: 'host', address: other.network.gateway, stays: 'certain' },
    }),
    shut('virtual', 'network', 'tcp', {
      what: 'a virtual address',
      address: firstOf(virtualCidr),
      port: 80,
      target: ELSEWHERE,
    }),
  ];
  const linkLocal = ['169.254.169.254', '169.254.170.2', '169.254.170.23', '169.254.1.1'];
  for (const [index, address] of linkLocal.entries()) {
    const what = index === 0 ? 'the metadata service' : 'link-local';
    attempts.push(shut(`meta${index}`, 'metadata', 'tcp', { what, address, port: 80, target: ELSEWHERE }));
  }
  const metadata = { what: 'the metadata service', target: ELSEWHERE };
  attempts.push(
    shut('meta-near', 'metadata', 'tcp', {
      what: 'link-local, where somebody answers,',
      address: beyond.linkLocal,
      port: 8080,
      target: BEYOND,
    }),
    shut('meta6', 'metadata', 'tcp', { ...metadata, address: 'fd00:ec2::254', port: 80 }),
    shut('meta-dns', 'metadata', 'udp', { ...metadata, address: '169.254.169.254', port: 53 }),
  );
  const hostAt = (to: HostTarget): Target => ({ kind: 'host', ...to });
  for (const [index, to] of targets.addresses.entries()) {
    const { address } = to;
    const what = address === own.network.gateway ? 'the host (own gateway)' : 'the host';
    const { tcp, udp } = targets;
    attempts.push(...sweep(`host${index}`, { what, address, target: hostAt(to), tcp, udp }));
  }
  for (const [index, to] of targets.ipv6.entries()) {
    const place: Place = { what: 'the host', address: to.address, port: 22, target: hostAt(to) };
    attempts.push(shut(`host6${index}`, 'host', 'tcp', place));
  }
  return attempts;
}

export interface Policy {
  policy: Egress;
  attempts: readonly Attempt[];
}

/** Each policy with what it must let through and what not; the machine beyond the host answers at all of it. */
export function policiesOf({ listed, unlisted, privately, linkLocal }: BeyondAddresses): Policy[] {
  const rows = (name: string, policy: Egress, reached: string[], not: string[]): Policy => {
    const named = (attempt: Attempt): Attempt => ({ ...attempt, tried: `${name}: ${attempt.tried}` });
    const at = (what: string, address: string): Place => ({ what, address, port: 8080, target: BEYOND });
    // A datagram's answer comes from the first address of the machine, whichever was asked.
    const kindsOf = (address: string): ('tcp' | 'udp')[] => (address === listed ? ['tcp', 'udp'] : ['tcp']);
    const whatOf = (address: string): string =>
      address === linkLocal
        ? 'link-local'
        : address === privately
          ? 'a private address'
          : 'an address beyond';
    const id = (address: string, kind: string): string => `e-${name}-${address}-${kind}`;
    return {
      policy,
      attempts: [
        ...reached.flatMap((to) =>
          kindsOf(to).map((kind) => named(works(id(to, kind), 'egress', kind, at(whatOf(to), to)))),
        ),
        ...not.flatMap((to) =>
          kindsOf(to).map((kind) => named(shut(id(to, kind), 'egress', kind, at(whatOf(to), to)))),
        ),
      ],
    };
  };
  const none = rows('none', 'none', [], [listed, privately, linkLocal]);
  return [
    rows('internet', 'internet', [listed, privately], [linkLocal]),
    rows('public', 'public', [listed], [privately, linkLocal]),
    rows('ranges', [`${listed}/32`, '169.254.0.0/16'], [listed], [unlisted, privately, linkLocal]),
    {
      ...none,
      attempts: [
        ...none.attempts,
        lookup('e-dns', 'none: looking up a name outside', 'example.com', 'outside'),
      ],
    },
  ];
}

function firstOf(cidr: string): string {
  return (cidr.split('/')[0] ?? '').replace(/\d+$/, '1');
}
