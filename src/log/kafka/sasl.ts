/**
 * Logging in to brokers. The library's mechanisms are used; what is ours is the end of a session: a broker tells for how
 * long a log-in holds (KIP-368), and the library would log in again on the same connection, between requests that
 * the broker then refuses. Here the lifetime is told to the link, which moves to a new connection in time.
 */
import {
  AuthenticationError,
  type SASLCustomAuthenticator,
  type SASLOptions,
  saslOAuthBearer,
  saslPlain,
  saslScramSha,
} from '@platformatic/kafka'
import type { TokenSource } from './oauth.ts'
import type { SaslMechanism } from './options.ts'

export interface Login {
  readonly mechanism: SaslMechanism
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tokens: TokenSource | undefined
}

/** @param onLifetime told for how many milliseconds the log-in holds; not called where it holds for ever */
export function saslOptions(login: Login, onLifetime: (milliseconds: number) => void): SASLOptions {
  const { mechanism, username = '', password = '', tokens } = login
  const authenticate: SASLCustomAuthenticator = (_, connection, api, _user, _password, _token, callback) => {
    const done: typeof callback = (error, response) => {
      if (error || response === undefined) return callback(error, response)
      const refusal = mechanism === 'OAUTHBEARER' ? response.authBytes.toString('utf8') : ''
      // RFC 7628 section 3.2.2: a refused token comes back as a success with the reason inside.
      if (refusal.includes('"status"'))
        return callback(new AuthenticationError(refusal.slice(0, 200)), response)
      const lifetime = Number(response.sessionLifetimeMs)
      if (lifetime > 0) onLifetime(lifetime)
      callback(null, Object.assign(response, { sessionLifetimeMs: 0n }))
    }
    if (mechanism === 'PLAIN') saslPlain.authenticate(api, connection, username, password, done)
    else if (mechanism === 'OAUTHBEARER') {
      const token = () => tokens?.token() ?? Promise.reject(new Error('no tokens'))
      saslOAuthBearer.authenticate(api, connection, token, tokens?.extensions ?? {}, done)
    } else {
      const algorithm = mechanism === 'SCRAM-SHA-256' ? 'SHA-256' : 'SHA-512'
      saslScramSha.authenticate(
        api,
        connection,
        algorithm,
        username,
        password,
        saslScramSha.defaultCrypto,
        done,
      )
    }
  }
  return { mechanism, authenticate }
}
