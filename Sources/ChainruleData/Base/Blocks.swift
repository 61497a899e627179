/// Divides 0 ..< `count` into ranges of `size` indices each, in order; the last may be shorter.
package func blocks(of size: Int, in count: Int) -> some Sequence<Range<Int>> {
  stride(from: 0, to: count, by: size).lazy.map { start in start..<start + min(size, count - start) }
}
