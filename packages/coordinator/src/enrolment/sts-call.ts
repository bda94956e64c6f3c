import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { StsAnswer } from './sts-answer.ts';
import type { CheckedRequest } from './sts-request.ts';

const TIMEOUT_MS = 5_000;
const MAX_BYTES = 16 * 1024;

/**
 * Sends a checked request to STS as it is, on a connection of its own; a redirect is an answer like another. Errors:
 * `timeout`, `unavailable`.
 */
export function callSts(
  request: CheckedRequest,
  options: { timeoutMs?: number; signal?: AbortSignal } = {},
): Promise<StsAnswer> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const deadline = AbortSignal.timeout(timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  const send = request.url.protocol === 'https:' ? secure : plain;
  const headers = { ...request.headers, 'content-length': String(request.body.length) };
  return new Promise<StsAnswer>((resolve, reject) => {
    const sent = send(request.url, { method: 'POST', headers, agent: false, signal }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        if (size > MAX_BYTES) response.destroy(new Error('its answer is too long'));
        else parts.push(part);
      });
      response.on('error', reject);
      response.on('end', () => {
        const date = Date.parse(response.headers.date ?? '');
        resolve({
          status: response.statusCode ?? 0,
          body: Buffer.concat(parts).toString('utf8'),
          date: Number.isNaN(date) ? null : date,
        });
      });
    });
    sent.on('error', reject);
    sent.end(request.body);
  }).catch((cause: unknown) => {
    const { host } = request.url;
    if (deadline.aborted)
      throw new BerthError('timeout', `STS (${host}) did not answer within ${timeoutMs} ms; try again.`, {
        cause,
      });
    throw new BerthError(
      'unavailable',
      `The coordinator cannot reach STS (${host}): ${messageOf(cause)}. Let it reach that address, or name a VPC endpoint in the agent's join.stsEndpoint and the coordinator's enrolment.stsEndpoints.`,
      { cause },
    );
  });
}
