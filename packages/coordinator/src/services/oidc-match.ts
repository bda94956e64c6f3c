import type { Trust } from '@berth/shared/api/oidc';
import type { Claims } from './identity.ts';

/** Whether a rule trusts what a token says. Everything that the rule names must be there, word for word. */
export function trusts(rule: Trust, claims: Claims): boolean {
  const audiences = typeof claims.aud === 'string' ? [claims.aud] : claims.aud;
  return (
    claims.iss === rule.issuer &&
    audiences.includes(rule.audience) &&
    fits(rule.repository, claims.repository) &&
    (rule.repositoryId === undefined || rule.repositoryId === claims.repository_id) &&
    fits(rule.ref, claims.ref) &&
    (rule.environment === undefined || rule.environment === claims.environment) &&
    !isForPullRequest(claims)
  );
}

/**
 * A run for a pull request may build what a stranger wrote, yet `pull_request_target` carries the ref of the branch that
 * it asks to be merged into. Nothing of it is ever released.
 */
function isForPullRequest({ event_name: event, ref }: Claims): boolean {
  return event?.startsWith('pull_request') === true || ref.startsWith('refs/pull/');
}

/** `*` stands for any characters but `/`; everything else for itself. */
export function fits(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`, 'u').test(text);
}
