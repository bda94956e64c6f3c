import type { HeartbeatSettings } from './fleet-types.ts';

export const DEFAULT_HEARTBEAT: HeartbeatSettings = { minMs: 10_000, pingsPerSecond: 50 };

/**
 * What a new agent is told. The interval grows with the fleet, so that the coordinator hears a bounded number of pings
 * per second however many agents there are; a silence of two intervals and a grace means that the agent is gone.
 */
export function heartbeatFor(
  agents: number,
  settings: HeartbeatSettings,
): { heartbeatMs: number; timeoutMs: number; reconnect: { baseMs: number; capMs: number } } {
  const heartbeatMs = Math.max(settings.minMs, Math.ceil((agents / settings.pingsPerSecond) * 1000));
  return {
    heartbeatMs,
    timeoutMs: heartbeatMs * 2 + Math.min(settings.minMs, 10_000),
    // Five thousand connects per second is what one coordinator takes in; the cap leaves it room.
    reconnect: { baseMs: 1000, capMs: Math.max(30_000, agents * 3) },
  };
}
