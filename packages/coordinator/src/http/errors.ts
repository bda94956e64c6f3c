import type { ApiError } from '@berth/shared/api/schemas';
import { BerthError, unreachable, type ErrorCode } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import { printableLines } from './text.ts';

export type ErrorStatus = 400 | 401 | 403 | 404 | 409 | 413 | 422 | 429 | 500 | 502 | 503 | 504;

/** The HTTP status of each code that can reach a caller. */
export function statusOf(code: ErrorCode): ErrorStatus {
  switch (code) {
    case 'invalid_request':
      return 400;
    case 'unauthenticated':
      return 401;
    case 'forbidden':
      return 403;
    case 'not_found':
      return 404;
    case 'already_exists':
    case 'domain_taken':
    case 'conflict':
    case 'observe_only':
      return 409;
    case 'invalid_compose':
    case 'no_capacity':
    case 'no_host':
    case 'release_not_signed':
      return 422;
    case 'rate_limited':
      return 429;
    case 'host_offline':
    case 'unavailable':
    case 'secret_unavailable':
      return 503;
    case 'timeout':
      return 504;
    case 'internal':
      return 500;
    case 'image_not_found':
    case 'image_pull_failed':
    case 'registry_unreachable':
    case 'memory_short':
    case 'disk_short':
    case 'container_failed':
    case 'health_failed':
    case 'release_command_failed':
    case 'release_outcome_unknown':
    case 'traffic_worse':
    case 'withdrawn':
    case 'route_failed':
    case 'verify_failed':
    case 'ingress_invalid':
    case 'docker_unavailable':
    case 'state_unwritable':
    case 'address_exhausted':
    case 'crash_loop':
    case 'aborted':
    case 'backup_client_missing':
    case 'backup_database_unavailable':
    case 'backup_database_refused':
    case 'backup_dump_failed':
    case 'backup_store_unavailable':
    case 'backup_store_refused':
    case 'backup_mismatch':
    case 'backup_restore_failed':
      // Said by an agent, or of a registry, in answer to a question of ours.
      return 502;
    default:
      return unreachable(code);
  }
}

/** What is told of an error. One that is nobody's plan says nothing about the inside: the log has it, by request id. */
export function apiError(thrown: unknown, requestId: string): z.infer<typeof ApiError> {
  if (thrown instanceof BerthError) {
    const { code, message, details } = thrown;
    return { error: { code, message: printableLines(message), details: { ...details }, requestId } };
  }
  return {
    error: {
      code: 'internal',
      message: `Something went wrong inside the coordinator; its log has more under request ${requestId}.`,
      details: {},
      requestId,
    },
  };
}
