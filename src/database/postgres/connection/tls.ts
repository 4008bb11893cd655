import { createPrivateKey } from 'node:crypto'
import { statSync } from 'node:fs'
import { isIP } from 'node:net'
import { getCACertificates, type ConnectionOptions } from 'node:tls'
import { codeOf, messageOf } from '../../../errors.ts'
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
    // The driver knows only where it connects to; the certificate and the server's choice of one go by the name.
    ...(address === undefined || isIP(host) !== 0 ? {} : { host, servername: host }),
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
  const { path } = certificate.key
  const bytes = contentOf(certificate.key)
  if (bytes === undefined)
    throw unusable(`there is a client certificate, ${certificate.file.path}, but no key: ${path} does not exist; name it in sslkey`)
  mustBePrivate(path)
  try {
    const passphrase = certificate.password
    const isText = bytes.includes('-----BEGIN')
    const key = isText
      ? createPrivateKey({ key: bytes, ...(passphrase === undefined ? {} : { passphrase }) })
      : createPrivateKey({ key: bytes, format: 'der', type: 'pkcs8', ...(passphrase === undefined ? {} : { passphrase }) })
    return { cert, key: key.export({ format: 'pem', type: 'pkcs8' }) }
  } catch (error) {
    const advice = isAboutPassphrase(error) ? '; it is encrypted, and sslpassword opens it' : ''
    throw unusable(`the key named by sslkey, ${path}, cannot be used: ${messageOf(error)}${advice}`, error)
  }
}

function isAboutPassphrase(error: unknown): boolean {
  return /passphrase|password|bad decrypt|interrupted or cancelled/i.test(messageOf(error))
}

/** libpq's rule: root may share it with a group, so that a server and its clients can use the same. */
function mustBePrivate(path: string): void {
  const { uid, mode } = statSync(path)
  const forbidden = uid === 0 ? 0o037 : 0o077
  if ((mode & forbidden) !== 0)
    throw unusable(
      `the key named by sslkey, ${path}, is open to others (mode ${(mode & 0o777).toString(8).padStart(4, '0')}); ` +
        'let it be 0600, or 0640 where it belongs to root',
    )
}

/** `undefined`: nobody named it, and it is not there. */
function contentOf({ path, named, parameter }: TlsFile): Buffer | undefined {
  try {
    return readGiven(path)
  } catch (error) {
    if (!named && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(codeOf(error) ?? '')) return undefined
    throw unusable(`the file named by ${parameter}, ${path}, cannot be read: ${messageOf(error)}`, error)
  }
}

function unusable(why: string, cause?: unknown): DatabaseError {
  return new DatabaseError('refused', `No connection was made: ${why}.`, { cause })
}

/** Whether this error allows trying the next way: never after a wrong password, which plain text would give away. */
export function mayDowngrade(error: { readonly message: string; readonly code?: string | undefined }): boolean {
  return (
    error.message === 'The server does not support SSL connections' ||
    error.message === 'There was an error establishing an SSL connection' ||
    // Where the mode allows plain text, a certificate that fails its check leads to it, as in libpq.
    /^(EPROTO$|ERR_SSL|ERR_TLS)|CERT|SIGNATURE|^CRL_|ISSUER/.test(error.code ?? '') ||
    // The server's pg_hba.conf allows only the other way.
    error.code === '28000'
  )
}
