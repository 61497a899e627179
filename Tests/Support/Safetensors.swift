/// The bytes of a safetensors file of these tensors of Float or Double, one behind the other, and nothing
/// else.
package func safetensors<Scalar: BinaryFloatingPoint>(
  of _: Scalar.Type, _ tensors: KeyValuePairs<String, (shape: [Int], values: [Scalar])>
) -> [UInt8] {
  let size = MemoryLayout<Scalar>.size
  var entries: [String] = [], data: [UInt8] = []
  for (name, (shape, values)) in tensors {
    let offsets = [data.count, data.count + size * values.count]
    entries.append("\"\(name)\":{\"dtype\":\"F\(8 * size)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}")
    values.withUnsafeBytes { data += $0 }
  }
  let header = Array("{\(entries.joined(separator: ","))}".utf8)
  return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header + data
}
