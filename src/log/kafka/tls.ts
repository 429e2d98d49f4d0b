/** What TLS to the brokers needs from files. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import { FramelogError, systemCode } from '../../errors.ts'
import type { TlsSettings } from './options.ts'

export class TlsFiles {
  readonly #settings: TlsSettings
  #last: ConnectionOptions

  /** @throws FramelogError BAD_CONFIG naming the setting whose file cannot be used */
  constructor(settings: TlsSettings) {
    this.#settings = settings
    this.#last = load(settings)
  }

  /** The files as they are now; a file that is being replaced leaves the ones before in use. */
  read(): ConnectionOptions {
    try {
      this.#last = load(this.#settings)
    } catch (error) {
      if (!(error instanceof FramelogError)) throw error
    }
    return this.#last
  }
}

function load(settings: TlsSettings): ConnectionOptions {
  const { caLocation, certificateLocation, keyLocation, keyPassword, endpointIdentification } = settings
  const options: ConnectionOptions = {}
  if (caLocation !== undefined) options.ca = authorities('SSL_CA_LOCATION', caLocation)
  if ((certificateLocation === undefined) !== (keyLocation === undefined)) {
    throw bad('SSL_CERTIFICATE_LOCATION and SSL_KEY_LOCATION belong together, and one of them is missing')
  }
  if (certificateLocation !== undefined && keyLocation !== undefined) {
    const cert = read('SSL_CERTIFICATE_LOCATION', certificateLocation)
    const certificate = parse('SSL_CERTIFICATE_LOCATION', certificateLocation, cert)
    const key = privateKey(keyLocation, keyPassword)
    if (!certificate.checkPrivateKey(key)) {
      throw bad(`the key in SSL_KEY_LOCATION is not the one of the certificate in SSL_CERTIFICATE_LOCATION`)
    }
    options.cert = cert
    options.key = key.export({ type: 'pkcs8', format: 'pem' })
  }
  if (endpointIdentification === 'none') options.checkServerIdentity = () => undefined
  return options
}

function authorities(setting: string, file: string): string[] {
  const blocks = read(setting, file).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  if (blocks.length === 0) throw bad(`${setting} names ${file}, which has no PEM certificate in it`)
  for (const block of blocks) parse(setting, file, block)
  return blocks
}

function parse(setting: string, file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (cause) {
    throw bad(`${setting} names ${file}, which has no readable PEM certificate in it`, cause)
  }
}

function privateKey(file: string, passphrase: string | undefined): KeyObject {
  const key = read('SSL_KEY_LOCATION', file)
  try {
    return createPrivateKey({ key, ...(passphrase === undefined ? {} : { passphrase }) })
  } catch (cause) {
    const encrypted = key.includes('ENCRYPTED')
    const reason = encrypted ? 'which SSL_KEY_PASSWORD does not open' : 'which has no readable PEM key in it'
    throw bad(`SSL_KEY_LOCATION names ${file}, ${reason}`, cause)
  }
}

function read(setting: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw bad(`${setting} names ${file}, which cannot be read (${systemCode(cause)})`, cause)
  }
}

const bad = (message: string, cause?: unknown): FramelogError =>
  new FramelogError('BAD_CONFIG', message, cause === undefined ? {} : { cause })
