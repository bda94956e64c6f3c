import type { Decision, Rollout } from '../rollout/types.ts';
import type { AuditEntry } from './records.ts';
import { summaryOf } from './rollout-chunks.ts';

/**
 * What the audit says of decisions that nobody made: each change of the rollout's state or of a wave's. What became of
 * single tenants is in events and histories; a row for each look would bury what people did.
 */
export function auditOf(before: Rollout, decisions: readonly Decision[]): AuditEntry | 'bookkeeping' {
  const changes = decisions.some(
    (each) =>
      (each.kind === 'state' && each.state.kind !== before.state.kind) ||
      (each.kind === 'wave' && each.state.kind !== before.waves[each.wave]?.kind),
  );
  if (!changes) return 'bookkeeping';
  return {
    action: 'rollout.advanced',
    subject: String(before.rollout),
    before: { state: before.state, wave: before.wave },
    after: summaryOf(decisions),
  };
}
