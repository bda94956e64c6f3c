import type { Event } from '@berth/shared/api/schemas';
import { RolloutState, TenantProgress, WaveState } from '@berth/shared/domain/rollout';
import { z } from 'zod';
import { timestamp } from '../output/format.ts';
import { clean, type Style } from '../output/style.ts';
import { progressText, stateText, waveStateText, whyOf, whyOfTenant, whyOfWave } from './rollout-words.ts';

const StateDetails = z.object({ state: RolloutState });
const WaveDetails = z.object({ wave: z.number(), state: WaveState });
export const TenantDetails = z.object({ wave: z.number(), progress: TenantProgress });

/** One event of a rollout as one line: when, who, what, why. */
export function rolloutEventLine(event: Event, style: Style): string {
  const when = style.dim(timestamp(event.at));
  const line = (who: string, what: string, why: string | null): string =>
    `${when}  ${who}  ${what}${why === null ? '' : `: ${why.replaceAll('\n', ' ')}`}`;
  const tenant = TenantDetails.safeParse(event.details);
  if (event.kind === 'rollout.tenant' && tenant.success) {
    const { wave, progress } = tenant.data;
    return line(
      `wave ${wave}  ${clean(event.tenant ?? '')}`,
      progressText(progress, style),
      whyOfTenant(progress),
    );
  }
  const wave = WaveDetails.safeParse(event.details);
  if (event.kind === 'rollout.wave' && wave.success)
    return line(`wave ${wave.data.wave}`, waveStateText(wave.data.state, style), whyOfWave(wave.data.state));
  const state = StateDetails.safeParse(event.details);
  if (event.kind === 'rollout.state' && state.success)
    return line('rollout', stateText(state.data.state, style), whyOf(state.data.state));
  return line('rollout', clean(event.message).replaceAll('\n', ' '), null);
}
