import Chainrule

let network = try Network<Float>(inputs: 4, seed: 1) {
  Dense(8, activation: .relu)
  Dense(3, activation: .softmax)
}
let outputs = try Model(network).predict([5.1, 3.5, 1.4, 0.2])
print("\(outputs.count) outputs, of sum \(outputs.reduce(0, +))")
