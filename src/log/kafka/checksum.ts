/**
 * Kafka's checksum, by the library. Given plain bytes it takes a copy of them first, a whole frame each time; given a buffer
 * of its own that holds one piece it does not.
 */
import { crc32c, Writer } from '@platformatic/kafka'

/** @param bytes borrowed until return */
export const checksumOf = (bytes: Buffer): number => crc32c(Writer.create().append(bytes).dynamicBuffer)
