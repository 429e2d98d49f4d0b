/** What a secured cluster needs: authorities, certificates and users made for it alone. Keys are made by openssl. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** PEM files. */
export interface Certificates {
  /** The authority that signed the brokers' and the client's certificates. */
  readonly authority: string
  /** An authority that signed nothing here. */
  readonly otherAuthority: string
  readonly certificate: string
  readonly key: string
  /** The same key behind a password. */
  readonly lockedKey: string
  readonly keyPassword: string
  /** A client certificate that the brokers' authority has not signed, and its key. */
  readonly otherCertificate: string
  readonly otherKey: string
  /** A broker's key and certificate in one, for 127.0.0.1. */
  readonly broker: string
  /** The same for a name that no test connects to. */
  readonly misnamedBroker: string
}

export const password = 'correct-horse'
/** `limited` may log in, and is refused what tests forbid. */
export const users = { name: 'viewer', limited: 'limited' } as const

export async function makeCertificates(dir: string): Promise<Certificates> {
  await mkdir(dir, { recursive: true })
  const file = (name: string): string => join(dir, name)
  const openssl = (...args: string[]) => run('openssl', args, { cwd: dir })
  const key = (name: string) =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', `${name}.key`)
  const authority = async (name: string): Promise<void> => {
    await key(name)
    await openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      `${name}.key`,
      '-days',
      '30',
      '-subj',
      `/CN=${name}`,
      '-out',
      `${name}.crt`,
    )
  }
  const signed = async (name: string, by: string, alternative: string): Promise<void> => {
    await key(name)
    await openssl('req', '-new', '-key', `${name}.key`, '-subj', `/CN=${name}`, '-out', `${name}.csr`)
    await writeFile(file(`${name}.ext`), `subjectAltName=${alternative}\n`)
    const about = ['-days', '30', '-extfile', `${name}.ext`, '-out', `${name}.crt`]
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      `${by}.crt`,
      '-CAkey',
      `${by}.key`,
      '-CAcreateserial',
      ...about,
    )
    await writeFile(file(`${name}.pem`), await readFile(file(`${name}.key`), 'utf8'))
    await writeFile(file(`${name}.pem`), await readFile(file(`${name}.crt`), 'utf8'), { flag: 'a' })
  }
  await authority('authority')
  await authority('other')
  await signed('broker', 'authority', 'IP:127.0.0.1,DNS:localhost')
  await signed('misnamed', 'authority', 'DNS:elsewhere.example')
  await signed('client', 'authority', 'DNS:client.example')
  await signed('stranger', 'other', 'DNS:stranger.example')
  const keyPassword = 'battery-staple'
  await openssl(
    'pkcs8',
    '-topk8',
    '-in',
    'client.key',
    '-out',
    'client.locked',
    '-passout',
    `pass:${keyPassword}`,
  )
  return {
    authority: file('authority.crt'),
    otherAuthority: file('other.crt'),
    certificate: file('client.crt'),
    key: file('client.key'),
    lockedKey: file('client.locked'),
    keyPassword,
    otherCertificate: file('stranger.crt'),
    otherKey: file('stranger.key'),
    broker: file('broker.pem'),
    misnamedBroker: file('misnamed.pem'),
  }
}

/** Arguments of the storage tool that make the users known to SCRAM. */
export const scramUsers = (): string[] =>
  ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap(mechanism =>
    Object.values(users).flatMap(name => ['--add-scram', `${mechanism}=[name=${name},password=${password}]`]),
  )

/** Lines of `server.properties` for the listeners of a secured cluster. */
export function securedProperties(certificates: Certificates): Record<string, string> {
  const modules = 'org.apache.kafka.common.security'
  const plainUsers = Object.values(users).map(name => `user_${name}="${password}"`)
  const properties: Record<string, string> = {
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': certificates.broker,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': certificates.authority,
    'listener.name.mutual.ssl.client.auth': 'required',
    'listener.name.misnamed.ssl.keystore.type': 'PEM',
    'listener.name.misnamed.ssl.keystore.location': certificates.misnamedBroker,
    'listener.name.sasl_plaintext.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256',
    'listener.name.sasl_ssl.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
    'allow.everyone.if.no.acl.found': 'true',
  }
  for (const listener of ['sasl_plaintext', 'sasl_ssl']) {
    const name = `listener.name.${listener}`
    properties[`${name}.plain.sasl.jaas.config`] =
      `${modules}.plain.PlainLoginModule required ${plainUsers.join(' ')};`
    for (const mechanism of ['scram-sha-256', 'scram-sha-512'])
      properties[`${name}.${mechanism}.sasl.jaas.config`] = `${modules}.scram.ScramLoginModule required;`
  }
  // Tokens are taken without a signature: enough to see ours arrive, whole and in time.
  properties['listener.name.sasl_ssl.oauthbearer.sasl.jaas.config'] =
    `${modules}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`
  return properties
}
