import { BerthError } from '@berth/shared/domain/errors';
import type { ServerAddress } from '../services/database-address.ts';

/** A sentence for what stands between the coordinator and a server. None of them holds the address with its password. */
export function cannotConnect(server: string, address: ServerAddress, thrown: unknown): BerthError {
  const { host, port, user, database, sslmode } = address;
  const where = `${host}:${port}`;
  const code = codeOf(thrown);
  const said = (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 300);
  return new BerthError('unavailable', `Database server ${server}: ${why()}`, {
    details: { server, host, port, ...(code === '' ? {} : { reason: code }) },
  });

  function why(): string {
    switch (code) {
      case 'ENOTFOUND':
      case 'EAI_AGAIN':
        return `the name ${host} is not known where the coordinator runs. Check the host in the address.`;
      case 'ECONNREFUSED':
        return `nothing answers at ${where}. Is the server up, and is the port right?`;
      case 'ETIMEDOUT':
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
        return `${where} does not answer. Is the server up, and do its firewall and security groups let the coordinator in?`;
      case 'ENOENT':
      case 'EACCES':
        return `the file of sslrootcert cannot be read on the coordinator (${code}).`;
      case '28P01':
        return `it refuses the password of ${user}. Give the address anew: berth database add ${server} --replace --url -`;
      case '28000':
        return `it does not let ${user} in from here: ${said}. See its pg_hba.conf, or the sslmode of the address (now ${sslmode}).`;
      case '3D000':
        return `it has no database ${database}; the address must name one that is there, such as postgres.`;
      case '42501':
        return `${user} may not connect to its database ${database}.`;
      case '53300':
        return 'all of its connections are taken; close some, or raise max_connections.';
      case '57P03':
        return 'it is just starting, or shutting down; try again in a moment.';
      case 'ERR_TLS_CERT_ALTNAME_INVALID':
        return `its certificate is not for ${host}. Use the name that it is for, or sslmode=verify-ca if you know why it is another.`;
      case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      case 'SELF_SIGNED_CERT_IN_CHAIN':
      case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
        return `nobody whom the coordinator trusts vouches for its certificate. Name the authority's file with sslrootcert=/path (for RDS its bundle), or use sslmode=require to encrypt without knowing who answers.`;
      case 'CERT_HAS_EXPIRED':
        return 'its certificate has run out.';
      default:
        if (saysNoTls(thrown))
          return `it speaks no TLS, and sslmode=${sslmode} asks for it. Turn ssl on at the server; within one machine sslmode=disable may do.`;
        if (/timeout|timed out/i.test(said))
          return `${where} does not answer. Is the server up, and do its firewall and security groups let the coordinator in?`;
        return `it cannot be used: ${said}.`;
    }
  }
}

/** A sentence for a statement that the server refused. */
export function refused(server: string, doing: string, thrown: unknown): BerthError {
  if (thrown instanceof BerthError) return thrown;
  const code = codeOf(thrown);
  const said = (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 300).replace(/\.$/, '');
  if (/^(08|57P)/.test(code) || /terminated|ECONNRESET|timeout|connection error|not queryable/i.test(said))
    return new BerthError(
      'unavailable',
      `Database server ${server} went away (while: ${doing}): ${said}. What was begun is gone on with when it is tried again.`,
      { details: { server } },
    );
  const ways: Readonly<Record<string, string>> = {
    '42501':
      'The user of its address needs CREATEROLE and CREATEDB, and for what another user made for Berth the rights of that one.',
    '53100': 'Its disk is full.',
    '53300': 'All of its connections are taken.',
    '2BP01':
      'Something of it is in another database of the server; an administrator of the server can remove it.',
  };
  const way = ways[code];
  return new BerthError(
    'conflict',
    `Database server ${server} refused to ${doing}: ${said}.${way === undefined ? '' : ` ${way}`}`,
    { details: { server, ...(code === '' ? {} : { reason: code }) } },
  );
}

/** What a client says of a server that answers the request for TLS with a no. */
export function saysNoTls(thrown: unknown): boolean {
  return thrown instanceof Error && /does not support SSL/i.test(thrown.message);
}

/** Of the system, of TLS, or of PostgreSQL; empty when there is none. */
function codeOf(thrown: unknown): string {
  if (thrown instanceof AggregateError) return codeOf(thrown.errors[0]);
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : '';
}
