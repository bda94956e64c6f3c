import { z } from 'zod';
import { egressFrom, type Egress } from '@berth/shared/domain/egress';
import { BerthError } from '@berth/shared/domain/errors';
import { HostReport, TenantPhase } from '@berth/shared/protocol/report';
import { Pin } from '@berth/shared/api/schemas';
import { RolloutAct, WaveState, type RolloutProblem } from '@berth/shared/domain/rollout';
import { Problem } from '@berth/shared/domain/step';

/** JSON columns are read through a schema like everything else that comes from outside the program. */

const Texts = z.array(z.string());
const Routes = z.array(z.object({ subdomain: z.string(), path: z.string() }));
const TextMap = z.record(z.string(), z.string());
const Pins = z.record(z.string(), Pin);
const WaveStates = z.array(WaveState);
const RolloutActs = z.array(RolloutAct);

export const texts = (json: string): string[] => Texts.parse(JSON.parse(json));
export const routes = (json: string): z.infer<typeof Routes> => Routes.parse(JSON.parse(json));
export const textMap = (json: string): Record<string, string> => TextMap.parse(JSON.parse(json));
export const pins = (json: string | null): Record<string, Pin> =>
  json === null ? {} : Pins.parse(JSON.parse(json));
/** Events are read by the thousand, and a schema that looks at every key of each costs more than the read. */
export const details = (json: string): Record<string, unknown> => {
  const value: unknown = JSON.parse(json);
  if (isObject(value)) return value;
  throw new BerthError('internal', `An event's details are no JSON object: ${json.slice(0, 100)}`);
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** What cannot be read is the strictest: better a tenant that complains than one that reaches what it must not. */
export const egress = (text: string | null): Egress | null =>
  text === null ? null : (egressFrom(text) ?? 'none');
export const phase = (text: string): z.infer<typeof TenantPhase> => TenantPhase.parse(text);
export const problem = (json: string | null): Problem | null =>
  json === null ? null : Problem.parse(JSON.parse(json));
/** What of a problem rollouts go by. */
export const rolloutProblem = (json: string | null): RolloutProblem | null => {
  const found = problem(json);
  return found === null ? null : { code: found.code, message: found.message };
};
export const rolloutActs = (json: string): RolloutAct[] => RolloutActs.parse(JSON.parse(json));
export const waveStates = (json: string): WaveState[] => WaveStates.parse(JSON.parse(json));
/** Kept by an older version and no longer understood: the next report replaces it. */
export const hostReport = (json: string | null): HostReport | null => {
  if (json === null) return null;
  const parsed = HostReport.safeParse(JSON.parse(json));
  return parsed.success ? parsed.data : null;
};
