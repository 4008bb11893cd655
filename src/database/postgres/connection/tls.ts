import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import { getCACertificates, type ConnectionOptions } from 'node:tls'
import { messageOf } from '../../../errors.ts'
import { readGiven } from '../../../files.ts'
import { DatabaseError } from '../../database-error.ts'
import type { Server, TlsFile, TlsParameters } from '../../url/url-types.ts'

export type Encryption = false | ConnectionOptions

/**
 * The ways to connect, in order of preference, with libpq's meaning of `sslmode`. The driver's own differs: `prefer` never falls back, `require`
 * verifies, and without a mode it uses plain text. Reads the files. Throws a `DatabaseError` that names the parameter of one that cannot be used.
 */
export function encryptions(tls: TlsParameters, { host, address }: Server): readonly Encryption[] {
  // libpq ignores the mode on a Unix socket.
  if (host.startsWith('/') || tls.mode === 'disable') return [false]
  const options: ConnectionOptions = {
    ...verification(tls),
    ...ownCertificate(tls),
    ...(tls.oldest === undefined ? {} : { minVersion: tls.oldest }),
    ...(tls.newest === undefined ? {} : { maxVersion: tls.newest }),
    // The driver knows only where it connects to; the certificate, and the server's choice of one, go by the host. An address is never sent as a name.
    ...(address === undefined ? {} : { host, ...(isIP(host) === 0 ? { servername: host } : {}) }),
  }
  if (tls.mode === 'allow') return [false, options]
  return tls.mode === 'prefer' ? [options, false] : [options]
}

/**
 * A root certificate that is there is used whatever the mode, and the name is checked by `verify-full` only:
 * https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS
 */
function verification({ mode, roots, revoked }: TlsParameters): ConnectionOptions {
  const ca = roots === 'system' ? getCACertificates('system') : contentOf(roots)
  if (mode === 'verify-ca' && ca === undefined)
    throw unusable(
      'sslmode=verify-ca needs a root certificate: name it in sslrootcert, or use verify-full, which also takes those of public authorities',
    )
  if (roots !== 'system' && ca !== undefined) usable(roots, () => new X509Certificate(String(ca)))
  if (ca === undefined && mode !== 'verify-full') return { rejectUnauthorized: false }
  const crl = contentOf(revoked)
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(crl === undefined ? {} : { crl }),
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

function ownCertificate({ certificate }: TlsParameters): ConnectionOptions {
  const cert = certificate === undefined ? undefined : contentOf(certificate.file)
  if (certificate === undefined || cert === undefined) return {}
  const key = contentOf(certificate.key)
  if (key === undefined)
    throw unusable(
      `there is a client certificate, ${certificate.file.path}, but no key: ${certificate.key.path} does not exist; name it in sslkey`,
    )
  mustBePrivate(certificate.key)
  const own = usable(certificate.key, () => opened(key, certificate.password), certificate.password)
  if (!usable(certificate.file, () => new X509Certificate(cert)).checkPrivateKey(own))
    throw unusable(`${described(certificate.key)} is not the key of the certificate, ${certificate.file.path}`)
  return { cert, key: own.export({ format: 'pem', type: 'pkcs8' }) }
}

function usable<T>(file: TlsFile, read: () => T, passphrase?: string): T {
  try {
    return read()
  } catch (error) {
    throw unusable(`${described(file)} cannot be used: ${messageOf(error)}${adviceOn(error, passphrase)}`, error)
  }
}

const DER_TYPES = ['pkcs8', 'pkcs1', 'sec1'] as const

/** Throws the error of the first form that it could have. */
function opened(key: Buffer, passphrase: string | undefined): KeyObject {
  const secret = passphrase === undefined ? {} : { passphrase }
  if (key.includes('-----BEGIN')) return createPrivateKey({ key, ...secret })
  const problems: unknown[] = []
  for (const type of DER_TYPES) {
    try {
      return createPrivateKey({ key, format: 'der', type, ...secret })
    } catch (error) {
      problems.push(error)
    }
  }
  throw problems[0]
}

function adviceOn(error: unknown, passphrase: string | undefined): string {
  if (!/passphrase|password|bad decrypt|interrupted or cancelled/i.test(messageOf(error))) return ''
  return passphrase === undefined ? '; it is encrypted, and sslpassword opens it' : '; sslpassword does not open it'
}

/** libpq's rule: root may share it with a group, so that a server and its clients can use the same. */
function mustBePrivate(key: TlsFile): void {
  const { uid, mode } = statSync(key.path)
  const forbidden = uid === 0 ? 0o037 : 0o077
  if ((mode & forbidden) !== 0)
    throw unusable(
      `${described(key)} is open to others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}); ` +
        'let it be 0600, or 0640 where it belongs to root',
    )
}

/** `undefined`: nobody named it, and it is not there. */
function contentOf(file: TlsFile): Buffer | undefined {
  // One that is there counts even where it cannot be read: without it the server would not be verified.
  if (!file.named && !existsSync(file.path)) return undefined
  try {
    return readGiven(file.path)
  } catch (error) {
    throw unusable(`${described(file)} cannot be read: ${messageOf(error)}`, error)
  }
}

function described({ path, named, parameter }: TlsFile): string {
  return named ? `the file named by ${parameter}, ${path},` : `${path}, which counts because ${parameter} names no other,`
}

function unusable(why: string, cause?: unknown): DatabaseError {
  return new DatabaseError('refused', `No connection was made: ${why}.`, { cause })
}

/** Whether this code says that the server's certificate is not trusted, or is for another name. */
export function isDistrust(code: string | undefined): boolean {
  return /^(?:UNABLE_TO_|CERT_|CRL_|SELF_SIGNED_CERT|DEPTH_ZERO|ERR_TLS_CERT_ALTNAME)|^INVALID_|^PATH_LENGTH_|ISSUER|SIGNATURE_FAILURE$/.test(
    code ?? '',
  )
}

/** Whether this error allows trying the next way: never after a wrong password, which plain text would give away. */
export function mayDowngrade(error: { readonly message: string; readonly code?: string | undefined }): boolean {
  return (
    error.message === 'The server does not support SSL connections' ||
    error.message === 'There was an error establishing an SSL connection' ||
    // Where the mode allows plain text, a certificate that fails its check leads to it, as in libpq.
    /^(EPROTO$|ERR_SSL|ERR_TLS)|CERT|SIGNATURE|^CRL_|ISSUER/.test(error.code ?? '') ||
    // The server's pg_hba.conf allows only the other way, or PgBouncer does.
    error.code === '28000' ||
    (error.code === '08P01' && /^(?:SSL|TLS connection) required$/.test(error.message))
  )
}
