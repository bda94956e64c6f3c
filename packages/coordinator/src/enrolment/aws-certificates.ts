import certificates from './aws-certificates.json' with { type: 'json' };

/**
 * AWS's own RSA-2048 certificates, by region, as PEM: what it signs identity documents with. From AWS's page
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/regions-certs.html; docs/security/enrolment.md tells how each was
 * compared, and has their fingerprints, which a test holds against this.
 */
export const AWS_CERTIFICATES: ReadonlyMap<string, string> = new Map(Object.entries(certificates));
