import { z } from 'zod';

/** What a secret is called: an environment variable's or a file's name, never a path. */
export const SecretName = z
  .string()
  .max(128)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]*$/, {
    error:
      'a secret name must be 1 to 128 letters, digits, "_", "." and "-", and begin with a letter, a digit or "_"',
  });
export type SecretName = z.infer<typeof SecretName>;

/** A value may be any bytes up to here. */
export const MAX_SECRET_BYTES = 64 * 1024;

/**
 * Where a value is kept that Berth does not keep itself: `aws-secretsmanager:<name or arn>[#json-key][@stage]`, or
 * `aws-ssm:/path`. The host asks for it with its own role. The reference is no secret.
 */
export const SecretReference = z
  .string()
  .max(600)
  .regex(
    /^(aws-secretsmanager:[A-Za-z0-9/_+=.:-]{1,512}(#[A-Za-z0-9_.-]{1,128})?(@[A-Za-z0-9_.-]{1,64})?|aws-ssm:\/?[A-Za-z0-9_./:-]{1,512})$/,
    {
      error:
        'a reference must be aws-secretsmanager:<name or arn>, perhaps followed by #json-key and @stage, or aws-ssm:/path',
    },
  );
export type SecretReference = z.infer<typeof SecretReference>;

/** One version of a secret, without its value: all that desired state holds of it. */
export const SecretRef = z.strictObject({
  name: SecretName,
  version: z.int().min(1),
  /** Names this very value: a version number may be given out again, to another tenant of this name or after a restore. */
  id: z.string().regex(/^[0-9a-f]{16}$/),
  from: SecretReference.optional(),
});
export type SecretRef = z.infer<typeof SecretRef>;

/** No empty part, `.` or `..`: the host makes a file of it. */
export const SECRET_TARGET = /^(?!.*\/(\/|$|\.\.?(\/|$)))\/[A-Za-z0-9_./+@=-]{1,240}$/;

/** A secret as a file in a container. */
export const SecretFile = SecretRef.extend({
  /** Absolute: `/run/secrets/NAME` unless the template says otherwise. */
  target: z.string().regex(SECRET_TARGET),
  uid: z.int().min(0).max(4_294_967_294),
  gid: z.int().min(0).max(4_294_967_294),
  /** Octal digits, such as `0444`. */
  mode: z.string().regex(/^0?[0-7]{3}$/),
});
export type SecretFile = z.infer<typeof SecretFile>;

/** What a sealed value is bound to: it opens as nothing else. */
export interface SecretPlace {
  tenant: string;
  name: string;
  version: number;
  id: string;
}

/** The bytes that encryption binds a value to, unambiguous for any names. */
export function placeText(what: string, place: SecretPlace, more: readonly string[] = []): string {
  const { tenant, name, version, id } = place;
  return JSON.stringify([what, tenant, name, version, id, ...more]);
}
