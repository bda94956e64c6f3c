import { BerthError } from '@berth/shared/domain/errors';
import { spanOf } from './clock.ts';

/** Whose signature it was. */
export interface Caller {
  partition: string;
  account: string;
  role: string;
  /** The name of the role's session: of credentials that an instance was given, the instance. */
  session: string;
}

export interface StsAnswer {
  status: number;
  body: string;
  /** The time of STS, milliseconds since 1970; null when it did not say. */
  date: number | null;
}

const ARN =
  /^arn:(aws|aws-cn|aws-us-gov):sts::(\d{12}):assumed-role\/([\w+=,.@-]{1,64})\/([\w+=,.@-]{2,64})$/;
const RESPONSE =
  /^\s*(?:<\?xml[^>]*\?>\s*)?<GetCallerIdentityResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">\s*<GetCallerIdentityResult>([^]*)<\/GetCallerIdentityResult>\s*<ResponseMetadata>\s*<RequestId>[\w-]{1,80}<\/RequestId>\s*<\/ResponseMetadata>\s*<\/GetCallerIdentityResponse>\s*$/;

/** Errors: `unauthenticated` when STS does not accept the signature, `unavailable` when it cannot tell now. */
export function callerOf(answer: StsAnswer, at: number): Caller {
  if (answer.status !== 200) throw refusal(answer, at);
  const inner = RESPONSE.exec(answer.body)?.[1];
  const found = new Map<string, string>();
  const rest = inner?.replace(
    /<(Arn|UserId|Account)>([^<>&]{1,300})<\/\1>/g,
    (_all, name: string, value: string) => {
      found.set(name, found.has(name) ? '' : value);
      return '';
    },
  );
  const [, partition, account, role, session] = ARN.exec(found.get('Arn') ?? '') ?? [];
  if (rest?.trim() !== '' || !found.get('UserId')) {
    throw new BerthError(
      'unavailable',
      'What STS answered is not a GetCallerIdentityResponse; is enrolment.stsEndpoints the address of STS?',
    );
  }
  if (partition === undefined || account === undefined || role === undefined || session === undefined) {
    throw new BerthError(
      'unauthenticated',
      'The STS request was not signed by the role of an instance, but by a user or something else. Give the instance a role.',
      { details: { reason: 'caller' } },
    );
  }
  if (found.get('Account') !== account)
    throw new BerthError('unavailable', 'STS answered with two accounts at once; nothing was enrolled.');
  return { partition, account, role, session };
}

function refusal({ status, body, date }: StsAnswer, at: number): BerthError {
  const code = /<Code>([A-Za-z.]{1,60})<\/Code>/.exec(body)?.[1] ?? '';
  if (
    status === 429 ||
    status >= 500 ||
    /^(Throttling|RequestLimitExceeded|ServiceUnavailable|InternalFailure)/.test(code)
  ) {
    return new BerthError(
      'unavailable',
      `STS cannot tell now whose signature this is (${status}${code === '' ? '' : ` ${code}`}); try again.`,
    );
  }
  const late = /Signature (?:expired|not yet current)/.test(body) || code === 'RequestExpired';
  if (late) {
    const apart = date === null ? null : at - date;
    const off =
      apart === null || Math.abs(apart) < 60_000
        ? 'Check the clocks of the host and of the coordinator.'
        : `By its clock the coordinator's is ${spanOf(apart)} ${apart < 0 ? 'behind' : 'ahead'}, and the host's agrees with that one: set both.`;
    return new BerthError('unauthenticated', `STS refuses the signature for its time. ${off}`, {
      details: { reason: 'clock' },
    });
  }
  const words: Readonly<Record<string, string>> = {
    SignatureDoesNotMatch: 'the signature does not fit what was signed, so something was altered on the way',
    ExpiredToken: "the instance's credentials have run out",
    ExpiredTokenException: "the instance's credentials have run out",
    InvalidClientTokenId: 'it does not know these credentials',
  };
  return new BerthError(
    'unauthenticated',
    `STS does not accept the signed request: ${words[code] ?? `it answered ${status}${code === '' ? '' : ` ${code}`}`}.`,
    { details: { reason: 'signature' } },
  );
}
