import { BerthError, unreachable } from '@berth/shared/domain/errors';
import type { ProbeReport } from '@berth/shared/domain/probe';
import type { ServiceContext } from './context.ts';
import type { Actor } from './records.ts';

/** The agent gives up after 150 seconds, and takes everything away again, which may take it another 30. */
const PROBE_TIMEOUT_MS = 190_000;

/** Asks a host to try its own isolation, and puts on record what came of it. Errors: `not_found`, `host_offline`. */
export async function probeHost(
  { store, fleet, clock }: ServiceContext,
  by: Actor,
  host: string,
): Promise<ProbeReport> {
  const known = await store.host(host);
  if (known === null) throw new BerthError('not_found', `There is no host ${host}; see "berth host list".`);
  const answer = await fleet.ask(host, { kind: 'probe' }, PROBE_TIMEOUT_MS);
  switch (answer.kind) {
    case 'probe': {
      await remember(answer.report, known.name);
      return answer.report;
    }
    case 'error':
      throw new BerthError(answer.code, answer.message);
    case 'plan':
    case 'logs':
    case 'traffic':
      throw new BerthError('internal', 'The agent answered another question than was asked.');
    default:
      return unreachable(answer);
  }

  async function remember({ rows }: ProbeReport, name: string): Promise<void> {
    const held = rows.filter((row) => row.verdict === 'held').length;
    const open = rows.filter((row) => row.verdict === 'open').length;
    const other = rows.filter((row) => row.verdict === 'broken' || row.verdict === 'untried').length;
    const at = clock.now();
    const message =
      open > 0
        ? `The isolation of host ${name} was probed: ${open} of ${rows.length} attempts are open.`
        : other > 0
          ? `The isolation of host ${name} was probed: ${other} of ${rows.length} attempts prove nothing.`
          : `The isolation of host ${name} was probed: all ${held} attempts held.`;
    const details = { held, open, other };
    await store.mutate(by, at, async (tx) => {
      await tx.addEvents([
        { kind: 'host.probed', at, tenant: null, app: null, host, generation: null, message, details },
      ]);
      return { result: null, audit: { action: 'host.probed', subject: host, before: null, after: details } };
    });
  }
}
