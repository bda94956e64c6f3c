/**
 * Every error that can reach a person. The code is stable and documented; the message is one sentence that says what is
 * wrong, where, and what to do.
 */
export const ERROR_CODES = [
  'invalid_request',
  'invalid_compose',
  'not_found',
  'already_exists',
  'domain_taken',
  'conflict',
  'no_capacity',
  'no_host',
  'unauthenticated',
  'forbidden',
  'rate_limited',
  'host_offline',
  'observe_only',
  'timeout',
  'unavailable',
  'internal',
  // From the agent: why a step did not succeed.
  'image_not_found',
  'image_pull_failed',
  'registry_unreachable',
  'memory_short',
  'disk_short',
  'container_failed',
  'health_failed',
  'release_command_failed',
  'release_outcome_unknown',
  'traffic_worse',
  'withdrawn',
  'route_failed',
  'verify_failed',
  'ingress_invalid',
  'docker_unavailable',
  'state_unwritable',
  'address_exhausted',
  'crash_loop',
  'release_not_signed',
  'aborted',
  // A secret that cannot be had: its key, its value or the place it is kept in.
  'secret_unavailable',
  // A backup that was not taken, or not restored.
  'backup_client_missing',
  'backup_database_unavailable',
  'backup_database_refused',
  'backup_dump_failed',
  'backup_store_unavailable',
  'backup_store_refused',
  'backup_mismatch',
  'backup_restore_failed',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export class BerthError extends Error {
  override readonly name = 'BerthError';
  readonly code: ErrorCode;
  /** Plain JSON for machines: field names, numbers, line numbers. Never a secret. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; details?: Readonly<Record<string, unknown>> } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : {});
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** The sentence of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  return String(thrown);
}

/** For the `default` of a switch over a closed union: the compiler refuses a case that was forgotten. */
export function unreachable(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
