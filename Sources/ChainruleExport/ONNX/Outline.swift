// Most of a model's file is the numbers of tensors, which a swift-protobuf message would copy. It therefore
// parses an outline of the file, in which raw_data is not the numbers but their place in the file;
// TensorBytes.swift reads them there.

/// The place of a tensor's raw_data in a model's file. In an outline, raw_data is the offset and the count, 8
/// bytes each.
struct RawPlace {
  let offset, count: Int

  init(offset: Int, count: Int) { (self.offset, self.count) = (offset, count) }

  /// Returns `nil` for no bytes.
  init?(inOutline bytes: some Sequence<UInt8>) {
    let bytes = Array(bytes)
    guard bytes.count == 16 else { return nil }
    func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
    self.init(offset: number(bytes[..<8]), count: number(bytes[8...]))
  }

  var bytes: [UInt8] {
    [offset, count].flatMap { number in (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) } }
  }
}

/// Creates the outline of a file.
struct Outline {
  /// The messages that contain raw_data, by the fields of Generated/onnx.proto.
  private enum Message {
    case model, graph, node, attribute, tensor

    /// Returns the kind of the message in a field.
    func message(inField field: UInt64) -> Message? {
      switch (self, field) {
      case (.model, 7): .graph
      case (.graph, 1): .node
      case (.graph, 5), (.attribute, 5): .tensor
      case (.node, 5): .attribute
      default: nil
      }
    }

    func isRawData(_ field: UInt64) -> Bool { self == .tensor && field == 9 }
  }

  private let file: UnsafeRawBufferPointer
  private(set) var bytes: [UInt8] = []

  /// Creates the outline.
  ///
  /// - Throws: `Unreadable` for bytes that are not a sequence of fields.
  init(of file: UnsafeRawBufferPointer) throws(Unreadable) {
    self.file = file
    try write(.model, 0..<file.count)
  }

  static var noModel: Unreadable { Unreadable("this is not an ONNX model, or it is truncated") }

  /// Writes the fields of a message (https://protobuf.dev/programming-guides/encoding): a tag, which is the
  /// field's number · 8 + the wire type of its value; for bytes, texts and messages the number of their
  /// bytes; the value.
  private mutating func write(_ message: Message, _ fields: Range<Int>) throws(Unreadable) {
    var place = fields.lowerBound
    while place < fields.upperBound {
      let start = place
      let tag = try number(&place, before: fields.upperBound)
      let (field, afterTag) = (tag >> 3, place)
      var size: UInt64 = 0
      switch tag & 7 {
      case 0: _ = try number(&place, before: fields.upperBound)
      case 1: size = 8
      case 2: size = try number(&place, before: fields.upperBound)
      case 5: size = 4
      default: throw Self.noModel
      }
      guard size <= fields.upperBound - place else { throw Self.noModel }
      let value = place..<place + Int(size)
      place = value.upperBound
      if tag & 7 == 2, let inner = message.message(inField: field) {
        copy(start..<afterTag)
        try writeCounted { outline throws(Unreadable) in try outline.write(inner, value) }
      } else if tag & 7 == 2, message.isRawData(field), !value.isEmpty {
        copy(start..<afterTag)
        try writeCounted { outline in
          outline.bytes += RawPlace(offset: value.lowerBound, count: value.count).bytes
        }
      } else {
        copy(start..<place)
      }
    }
  }

  private mutating func copy(_ range: Range<Int>) {
    bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: file[range]))
  }

  /// Writes the number of bytes that `body` writes, as 5 bytes, which are enough for any number below 2³⁵,
  /// and then these bytes.
  private mutating func writeCounted(
    _ body: (inout Outline) throws(Unreadable) -> Void
  ) throws(Unreadable) {
    let place = bytes.count
    bytes += [0, 0, 0, 0, 0]
    try body(&self)
    let count = bytes.count - place - 5
    guard count < 1 << 31 else { throw Self.noModel }  // Above the maximum size of a message.
    for k in 0..<5 { bytes[place + k] = UInt8(count >> (7 * k) & 127) | (k < 4 ? 128 : 0) }
  }

  /// Reads an integer with 7 bits per byte, the lowest first; all bytes but the last have the highest bit
  /// set.
  private func number(_ place: inout Int, before end: Int) throws(Unreadable) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard place < end else { throw Self.noModel }
      let byte = file[place]
      place += 1
      value |= UInt64(byte & 127) << shift
      if byte < 128 { return value }
    }
    throw Self.noModel
  }
}
