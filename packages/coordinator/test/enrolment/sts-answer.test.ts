import { describe, expect, test } from 'vitest';
import { callerOf } from '../../src/enrolment/sts-answer.ts';

const answer = (arn: string, account = '123456789012') =>
  `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult>
    <Arn>${arn}</Arn>
    <UserId>AROA:i-1</UserId>
    <Account>${account}</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata><RequestId>01234567-89ab</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>`;
const of = (body: string, status = 200, date: number | null = null) =>
  callerOf({ status, body, date }, 1_795_000_000_000);
const refusal = (code: string, message = '') =>
  `<ErrorResponse><Error><Code>${code}</Code><Message>${message}</Message></Error></ErrorResponse>`;

describe("STS's answer", () => {
  test('tells account, role and instance', () => {
    expect(of(answer('arn:aws:sts::123456789012:assumed-role/berth-host/i-0123456789abcdef0'))).toEqual({
      partition: 'aws',
      account: '123456789012',
      role: 'berth-host',
      session: 'i-0123456789abcdef0',
    });
    expect(of(answer('arn:aws-cn:sts::123456789012:assumed-role/r/i-1')).partition).toBe('aws-cn');
  });

  test('of a user, of the root, or of two accounts enrols nobody', () => {
    for (const arn of [
      'arn:aws:iam::123456789012:user/eve',
      'arn:aws:iam::123456789012:root',
      'arn:aws:sts::123456789012:federated-user/eve',
      'arn:aws:sts::123456789012:assumed-role/a/b/i-1',
    ])
      expect(() => of(answer(arn)), arn).toThrow(/not signed by the role of an instance/);
    expect(() => of(answer('arn:aws:sts::210987654321:assumed-role/r/i-1'))).toThrow(/two accounts/);
  });

  test('in any other form is not believed', () => {
    const good = answer('arn:aws:sts::123456789012:assumed-role/r/i-1');
    const second = '<Arn>arn:aws:sts::123456789012:assumed-role/r/i-2</Arn>';
    for (const body of [
      '',
      '<html>',
      `{"Arn":${JSON.stringify(good)}}`,
      `<other>${good}</other>`,
      `${good}${good}`,
      good.replace('<UserId>', `${second}<UserId>`),
      good.replace('https://sts.amazonaws.com/doc/2011-06-15/', 'urn:evil'),
      good.replace('<UserId>AROA:i-1</UserId>', ''),
    ])
      expect(() => of(body), body.slice(0, 60)).toThrow();
  });

  test('that it cannot tell now is told apart from a refusal', () => {
    for (const [status, body] of [
      [400, refusal('Throttling')],
      [429, ''],
      [503, 'Service Unavailable'],
    ] as const)
      expect(() => of(body, status)).toThrow(expect.objectContaining({ code: 'unavailable' }));
    expect(() => of(refusal('SignatureDoesNotMatch', 'The request signature we calculated'), 403)).toThrow(
      /something was altered on the way/,
    );
    expect(() => of(refusal('ExpiredToken'), 403)).toThrow(/credentials have run out/);
    expect(() => of(refusal('InvalidClientTokenId'), 403)).toThrow(/does not know these credentials/);
    expect(() => of('', 302)).toThrow(expect.objectContaining({ code: 'unauthenticated' }));
  });

  test('about the time speaks of the clocks, and says which it can', () => {
    const late = refusal('SignatureDoesNotMatch', 'Signature expired: 2025 is now earlier than 2026');
    expect(() => of(late, 403, 1_795_000_000_000 - 3_600_000)).toThrow(/coordinator's is 60 minutes ahead/);
    expect(() => of(late, 403)).toThrow(/Check the clocks/);
  });
});
