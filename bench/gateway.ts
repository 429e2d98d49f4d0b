/**
 * A frame's way through a gateway against the bare client's produce to consume, in the same run: from the publisher's message
 * being there to the frame being given to the viewer's socket, through the log. The gateway runs as a user starts it;
 * publishers and viewers are in another process.
 *
 * GATEWAY_ROUNDS, GATEWAY_SECONDS, GATEWAY_WARM_UP, GATEWAY_TRIES, GATEWAY_BROADCASTS (1,10; 100/1000: a hundred
 * that send, of a thousand that are watched), GATEWAY_BYTES (6000), GATEWAY_VIEWERS (1, of each), GATEWAY_BROKERS (1,3;
 * embedded: the gateway on the embedded log, beside the bare client on one broker), GATEWAY_PROFILE (a folder for CPU profiles
 * of the gateway).
 */
import { bench } from './log/cases.ts'
import { readGatewaySettings } from './log/settings.ts'

await bench(readGatewaySettings(process.env))
