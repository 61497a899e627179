import Chainrule
import ChainruleExport
import Foundation
import Testing

/// The code of docs/onnx.md.
@Suite struct `The page on ONNX` {
  @Test func `writes a file and reads it`() throws {
    let network = try Network<Float>(inputs: 4, seed: 1) { Dense(3, activation: .softmax) }
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).onnx")
    defer { try? FileManager.default.removeItem(at: file) }

    let bytes = try Model(network).exportONNX()
    try bytes.write(to: file)
    switch try SavedModel(onnx: file.path) {
    case .float32(let model): #expect(model.layers == network.layers && model.classLabels == nil)
    case .float64(let model): Issue.record("\(model.layers)")
    }
  }
}
