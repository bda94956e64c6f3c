import type { Rollout } from '@berth/shared/api/rollouts';
import { whoText } from '@berth/shared/domain/actor';
import { unreachable } from '@berth/shared/domain/errors';
import type { RolloutAct } from '@berth/shared/domain/rollout';
import { timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/** What stopped these rollouts and what people did to them, oldest first; null when there is nothing. */
export function actsTable(
  rollouts: readonly Pick<Rollout, 'rollout' | 'acts'>[],
  style: Style,
): string | null {
  const several = rollouts.length > 1;
  const rows = rollouts.flatMap(({ rollout, acts = [] }) =>
    acts.map((act) => [
      ...(several ? [String(rollout)] : []),
      timestamp(act.at),
      act.by === null ? 'itself' : clean(whoText(act.by)),
      actText(act.what, style),
      String(act.wave),
      act.why === null ? '' : clean(act.why).replaceAll('\n', ' '),
    ]),
  );
  if (rows.length === 0) return null;
  return table([...(several ? ['ID'] : []), 'WHEN', 'WHO', 'DID', 'WAVE', 'WHY'], rows, style);
}

function actText(what: RolloutAct['what'], style: Style): string {
  switch (what) {
    case 'halted':
      return style.red('halted');
    case 'wave-rolled-back':
      return style.red('took its wave back');
    case 'rolled-back':
      return style.red('rolled back');
    case 'aborted':
      return style.red('aborted');
    case 'asked':
      return style.yellow('asked for approval');
    case 'paused':
      return style.yellow('paused');
    case 'resumed':
    case 'approved':
    case 'retried':
      return what;
    default:
      return unreachable(what);
  }
}
